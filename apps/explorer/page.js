"use strict";
// The page's side of the explorer: clicks and keys become messages, panels show what the server sends.
window.shotsort = (() => {
  const one = (query) => document.querySelector(query);
  const drawn = drawnWith();
  let bridge = null, tools = {}, sent = 0, done = 0, mode = "replace", hoverTimer = null, toastTimer = null, drawing = false;

  // What the points are drawn with. Where WebGL is only emulated, as on a machine without a graphics card, it takes seconds for
  // a few thousand points; Bokeh is told that there is none, and draws on the plain canvas.
  function drawnWith() {
    const real = HTMLCanvasElement.prototype.getContext;
    const gl = real.call(document.createElement("canvas"), "webgl", {failIfMajorPerformanceCaveat: true});
    const about = gl?.getExtension("WEBGL_debug_renderer_info");
    const card = gl?.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : gl.RENDERER) ?? "none";
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    if (!/^none$|swiftshader|llvmpipe|softpipe|basic render/i.test(card)) return "webgl";
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) { return /webgl/.test(kind) ? null : real.call(this, kind, ...more); };
    return "canvas";
  }

  function send(act, value = "") {
    if (!bridge) return;
    sent += 1;
    document.body.dataset.sent = sent;
    bridge.message = JSON.stringify({n: sent, act, value});
    setTimeout(() => { if (done < sent) one("#page")?.classList.add("busy"); }, 150);
  }

  // Everything that one action changed arrives in one answer and is shown at once.
  function answered() {
    const news = JSON.parse(bridge.answer);
    if (news.panels.reload) location.reload();
    for (const [name, html] of Object.entries(news.panels)) draw(name, html);
    if (news.toast) toast(...news.toast);
    done = Math.max(done, news.done);
    if (done >= sent) one("#page")?.classList.remove("busy");
    document.body.dataset.done = done;
    document.body.dataset.answer = news.sent;
  }

  // Fill a panel; what a person is typing or dragging in it stays as it is.
  function draw(name, html) {
    const panel = one(`[data-panel="${name}"]`);
    if (!panel) return;
    const held = panel.contains(document.activeElement) && document.activeElement.matches("input:not([type=button])") ? document.activeElement : null;
    const key = held && (held.id ? `#${held.id}` : `[name="${held.name}"]`), text = held?.value;
    panel.innerHTML = html;
    const again = held && panel.querySelector(key);
    if (again) { again.value = text; again.focus(); }
    if (name === "tabs") {
      const tab = panel.querySelector(".on")?.dataset.value ?? "frame";
      one("#large").hidden = tab !== "frame";
      one("#tab").hidden = tab === "frame";
    }
    if (name === "hover") panel.classList.toggle("show", html !== "");
    if (name === "thumbs") {
      const first = panel.querySelector(".thumb")?.dataset.value ?? "";
      if (first !== panel.dataset.first) panel.scrollTop = 0;
      panel.dataset.first = first;
    }
    if (name === "clusters") panel.querySelector(".row.on")?.scrollIntoView({block: "nearest"});
  }

  function toast(kind, html) {
    const box = one("#toast");
    box.innerHTML = html;
    box.className = `show ${kind}`;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { box.className = ""; }, kind === "bad" ? 9000 : 4000);
  }

  function start(model, gestures) {
    bridge = model;
    tools = gestures;
    bridge.connect(bridge.properties.answer.change, answered);
    answered();
    listen();
    document.body.dataset.drawn = drawn;
    send("hello", drawn);
    if (one("#author").value) send("author", one("#author").value);
    if (localStorage.getItem("shotsort-tour") !== "done") tour();
    one("#page").classList.remove("busy");
    document.body.dataset.ready = "yes";
  }

  // A page that waits for a layout: it is loaded again when there is one.
  function wait(model) {
    bridge = model;
    bridge.connect(bridge.properties.answer.change, answered);
    answered();
    document.addEventListener("click", clicked);
    send("hello");
    document.body.dataset.ready = "yes";
  }

  function pick(name) {
    for (const [key, tool] of Object.entries(tools)) tool.active = key === name;
    for (const button of document.querySelectorAll("#tools [data-tool]")) button.classList.toggle("on", button.dataset.tool === name);
  }

  function hover(event) {
    clearTimeout(hoverTimer);
    if (drawing) return;
    const box = one("#hover"), map = one("#map").getBoundingClientRect();
    const right = event.sx > map.width / 2;
    box.style.left = right ? "" : `${event.sx + 18}px`;
    box.style.right = right ? `${map.width - event.sx + 18}px` : "";
    box.style.top = `${Math.min(Math.max(event.sy - 60, 52), map.height - 190)}px`;
    hoverTimer = setTimeout(() => send("hover", {x: event.x, y: event.y}), 70);
  }

  function leave() {
    clearTimeout(hoverTimer);
    one("#hover").classList.remove("show");
  }

  function setMode(event) {
    drawing = Boolean(event.target.closest("#map"));
    if (drawing) leave();
    const wanted = event.shiftKey ? "add" : event.altKey ? "remove" : "replace";
    if (wanted !== mode) send("mode", mode = wanted);
  }

  function clicked(event) {
    const target = event.target.closest("[data-act],[data-tool],[data-copy],[data-reload]");
    if (!target || target.tagName === "SELECT" || target.disabled) return;
    const {act, value, tool, copy} = target.dataset;
    if (tool) pick(tool);
    else if (copy) navigator.clipboard?.writeText(one("#" + copy).textContent).then(() => { target.textContent = "copied"; });
    else if ("reload" in target.dataset) location.reload();
    else {
      if (act === "frame" && (event.ctrlKey || event.metaKey || event.shiftKey)) return send("pick", {frame: value, range: event.shiftKey});
      if (act === "frame" && event.altKey) return send("exclude", value);
      if (act === "cluster" && (event.ctrlKey || event.metaKey)) return send("toggle-cluster", value);
      if (act === "frame") {
        document.querySelectorAll(".thumb.on").forEach((other) => other.classList.remove("on"));
        target.classList.add("on");
      }
      send(act, value ?? "");
    }
  }

  function bigger() { one("#picked").classList.toggle("big"); }

  const KEYS = {
    n: () => send("next-cluster"), j: () => send("step-cluster", "1"), k: () => send("step-cluster", "-1"),
    "[": () => send("turn", "-1"), "]": () => send("turn", "1"), ArrowLeft: () => send("step", "-1"), ArrowRight: () => send("step", "1"),
    p: () => send("next-label"), t: () => { const box = one('[data-act="target"]'); if (box) { box.selectedIndex = (box.selectedIndex + 1) % box.options.length; send("target", box.value); } },
    r: () => send("order", "random"), m: () => send("mean"), s: () => send("similar"), x: () => send("drop"), f: () => send("fit"), Escape: () => send("clear"),
    a: () => send("widen"), z: bigger, b: () => pick("box"), v: () => pick("pan"), o: () => pick("lasso"), "?": () => one("#help").showModal(),
    l: (event) => { event.preventDefault(); one("#label").focus(); },
    c: () => { const all = [...document.querySelectorAll('[data-panel="coloring"] button')]; all[(all.findIndex((b) => b.className === "on") + 1) % all.length]?.click(); },
  };

  function pressed(event) {
    const field = event.target.closest("input, select, textarea, dialog");
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (control && (key === "z" || key === "y") && !field?.value) {
      event.preventDefault();
      send(key === "y" || event.shiftKey ? "redo" : "undo");
    } else if (field) {
      if (event.key === "Escape") field.blur();
    } else if (event.key === "Enter" && event.target.matches(".row")) {
      event.target.click();
    } else if (!control && !event.altKey && !one("#help").open) {
      const tool = KEYS[event.key.length === 1 ? key : event.key];
      if (tool) tool(event);
      else if (/^[a-z0-9]$/.test(key) && !event.repeat) send("class-key", key);
    }
  }

  let liveTimer = null;

  // Sliders tell their value while they move, not more often than the server is worth asking.
  function live(event) {
    const act = event.target.dataset.live;
    if (!act) return;
    clearTimeout(liveTimer);
    liveTimer = setTimeout(() => send(act, event.target.value), 60);
  }

  const STEPS = [
    ["#map", "The layout", "Each point is a frame; like lies beside like. Draw around points to select them, scroll to zoom, click a point to see its frame."],
    ["#tables", "Clusters and labels", "What the machine grouped, largest first, and what people said. A click selects; Ctrl+click selects several."],
    ["#thumbs", "The frames", "Pages of the selection. Shift and Ctrl pick frames, Alt takes one out."],
    ["#classes", "One key, one label", "Classes have keys: press one to label what is selected. Everything can be taken back with Ctrl+Z, tomorrow too."],
    ["#tabs", "The workbench", "Look closer, compare, let a few labels propose the rest, merge and split clusters, and hand frames on. ? shows all keys."],
  ];

  function tour(step = 0) {
    const box = one("#tour");
    document.querySelectorAll(".toured").forEach((part) => part.classList.remove("toured"));
    box.hidden = step >= STEPS.length;
    if (box.hidden) return localStorage.setItem("shotsort-tour", "done");
    const [query, title, text] = STEPS[step], place = one(query).getBoundingClientRect();
    one(query).classList.add("toured");
    box.querySelector("b").textContent = title;
    box.querySelector("p").textContent = text;
    box.querySelector("i").textContent = `${step + 1} / ${STEPS.length}`;
    box.querySelector(".next").textContent = step + 1 < STEPS.length ? "next" : "begin";
    box.querySelector(".next").onclick = () => tour(step + 1);
    box.querySelector(".later").onclick = () => tour(STEPS.length);
    box.style.left = `${Math.max(12, Math.min(place.left + 24, innerWidth - 360))}px`;
    box.style.top = `${Math.max(60, Math.min(place.top + 40, innerHeight - 190))}px`;
  }

  // The server is gone: say so, and load the page again when it is back.
  function lost() {
    const banner = one("#banner");
    if (!banner || banner.dataset.lost) return;
    banner.dataset.lost = "yes";
    banner.textContent = "The explorer does not answer. Labels given so far are kept; this page goes on when it is back.";
    setInterval(() => fetch(location.href, {cache: "no-store"}).then((answer) => { if (answer.ok) location.reload(); }).catch(() => {}), 1500);
  }

  function listen() {
    document.addEventListener("click", clicked);
    document.addEventListener("keydown", pressed);
    document.addEventListener("pointerdown", setMode, true);
    document.addEventListener("pointerup", () => { drawing = false; }, true);
    document.addEventListener("change", (event) => { if (event.target.matches("select[data-act]")) { send(event.target.dataset.act, event.target.value); event.target.blur(); } });
    document.addEventListener("change", (event) => {
      const {act, name} = event.target.dataset;
      if (event.target.type === "color" && act) send(act, {name, value: event.target.value});
    });
    document.addEventListener("input", live);
    document.addEventListener("submit", (event) => {
      const form = event.target.closest("[data-form]");
      if (!form) return;
      event.preventDefault();
      send(form.dataset.form, Object.fromEntries(new FormData(form)));
      if (form.dataset.form === "define-class") form.reset();
    });
    one("#author").value = localStorage.getItem("shotsort-author") ?? "";
    one("#author").addEventListener("change", (event) => { localStorage.setItem("shotsort-author", event.target.value); send("author", event.target.value); event.target.blur(); });
    one("#label-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = one("#label");
      if (field.value.trim() === "") return;
      send("label", field.value);
      field.value = "";
      field.blur();
    });
    one("#bigger").addEventListener("click", bigger);
    one("#help-button").addEventListener("click", () => one("#help").showModal());
    one("#help .tour").addEventListener("click", () => { one("#help").close(); tour(); });
    one("#theme").addEventListener("click", () => {
      const light = document.documentElement.classList.toggle("light");
      localStorage.setItem("shotsort-theme", light ? "light" : "dark");
    });
  }

  if (localStorage.getItem("shotsort-theme") === "light") document.documentElement.classList.add("light");
  return {start, wait, hover, leave, lost};
})();
