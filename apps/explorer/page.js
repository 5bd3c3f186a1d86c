"use strict";
// The page's side of the explorer: clicks and keys become messages, panels show what the server sends.
window.shotsort = (() => {
  const one = (query) => document.querySelector(query);
  let bridge = null, tools = {}, sent = 0, done = 0, mode = "replace", hoverTimer = null, toastTimer = null, drawing = false;

  function send(act, value = "") {
    if (!bridge) return;
    sent += 1;
    document.body.dataset.sent = sent;
    bridge.message = JSON.stringify({n: sent, act, value});
    setTimeout(() => { if (done < sent) one("#page").classList.add("busy"); }, 150);
  }

  // Everything that one action changed arrives in one answer and is shown at once.
  function answered() {
    const news = JSON.parse(bridge.answer);
    for (const [name, html] of Object.entries(news.panels)) draw(name, html);
    if (news.toast) toast(...news.toast);
    done = Math.max(done, news.done);
    if (done >= sent) one("#page").classList.remove("busy");
    document.body.dataset.done = done;
  }

  function draw(name, html) {
    const panel = one(`[data-panel="${name}"]`);
    panel.innerHTML = html;
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
    send("hello");
    one("#page").classList.remove("busy");
    document.body.dataset.ready = "yes";
  }

  // A page that waits for a layout: load again when there is one.
  function wait(model) {
    model.connect(model.properties.answer.change, () => location.reload());
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
      if (act === "frame") {
        document.querySelectorAll(".thumb.on").forEach((other) => other.classList.remove("on"));
        target.classList.add("on");
      }
      send(act, value ?? "");
    }
  }

  const KEYS = {
    n: () => send("next-cluster"), j: () => send("step-cluster", "1"), k: () => send("step-cluster", "-1"),
    "[": () => send("turn", "-1"), "]": () => send("turn", "1"), ArrowLeft: () => send("step", "-1"), ArrowRight: () => send("step", "1"),
    r: () => send("order", "random"), m: () => send("mean"), s: () => send("similar"), x: () => send("drop"), f: () => send("fit"), Escape: () => send("clear"),
    b: () => pick("box"), v: () => pick("pan"), o: () => pick("lasso"), "?": () => one("#help").showModal(),
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
      KEYS[event.key.length === 1 ? key : event.key]?.(event);
    }
  }

  function listen() {
    document.addEventListener("click", clicked);
    document.addEventListener("keydown", pressed);
    document.addEventListener("pointerdown", setMode, true);
    document.addEventListener("pointerup", () => { drawing = false; }, true);
    document.addEventListener("change", (event) => { if (event.target.matches("select[data-act]")) { send(event.target.dataset.act, event.target.value); event.target.blur(); } });
    one("#label-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = one("#label");
      if (field.value.trim() === "") return;
      send("label", field.value);
      field.value = "";
      field.blur();
    });
    one("#help-button").addEventListener("click", () => one("#help").showModal());
    one("#theme").addEventListener("click", () => {
      const light = document.documentElement.classList.toggle("light");
      localStorage.setItem("shotsort-theme", light ? "light" : "dark");
    });
  }

  if (localStorage.getItem("shotsort-theme") === "light") document.documentElement.classList.add("light");
  return {start, wait, hover, leave};
})();
