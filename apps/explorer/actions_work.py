"""What a page can ask for about clusters, comparison, subsets and recording: one method ``do_NAME`` per ``data-act="NAME"``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from apps.explorer import heavy, tabs, tabs_more
from apps.explorer.desk import TABS
from apps.explorer.jobs import Job
from apps.explorer.selection import NOTHING
from apps.explorer.showing import Showing
from sorter.core.errors import InputError
from sorter.core.subset import Subset
from sorter.online.status import STRANGE


class WorkActions(Showing):
    """Tabs, long work, shaping clusters, comparing, handing on."""

    def do_tab(self, value: str) -> None:
        if value in TABS:
            self.desk.tab = value
            self.refresh_tab()

    # -- long work -------------------------------------------------------------------------------------------------------
    def start_job(self, what: str, on_done: Callable[[Any], None], work: Callable[..., Any], *args: Any) -> None:
        """Start ``work(*args)`` in another process; ``on_done`` gets its result."""
        if self.desk.job is not None:
            raise InputError(f"{self.desk.job.what} is not done yet; wait, or cancel it")
        self.desk.job, self.desk.on_done = Job(what, work, *args), on_done
        self.wire.show(job=tabs.job_bar(self.desk))

    def poll_job(self) -> None:
        """Take in what long work has come to."""
        job = self.desk.job
        if job is None:
            return
        if not job.poll():
            self.wire.show(job=tabs.job_bar(self.desk))
            return
        self.desk.job = None
        self.wire.show(job="")
        if job.error is not None:
            self.say(job.error, bad=True)
        else:
            self._guarded(self.desk.on_done, job.result)

    def do_cancel(self, _value: str) -> None:
        if self.desk.job is not None:
            self.desk.job.cancel()
            self.poll_job()

    # -- clusters --------------------------------------------------------------------------------------------------------
    def do_toggle_cluster(self, value: str) -> None:
        self.state.toggle_cluster(int(value))
        self.refresh_selection()

    def do_merge(self, _value: str) -> None:
        self._show_clustering(self.shaping.merge())

    def do_recluster(self, value: dict[str, Any]) -> None:
        size, samples, selection = int(value["size"]), int(value["samples"]), str(value["selection"])
        args = self.shaping.request(size, samples, selection)
        self.desk.recluster = {"size": size, "samples": samples, "selection": selection}
        step = {"step": "re-cluster", "frames": self.state.selection.reason, "min_cluster_size": size, "min_samples": samples,
                "selection": selection}  # fmt: skip
        self.start_job("re-clustering", partial(self._reclustered, step=step), heavy.recluster, *args)

    def _reclustered(self, result: Any, step: dict[str, Any]) -> None:
        self.shaping.propose(result, step)
        self.desk.tab = "shape"
        self.refresh_tab()

    def do_take(self, _value: str) -> None:
        self._show_clustering(self.shaping.take())

    def do_drop_proposed(self, _value: str) -> None:
        self.shaping.drop()
        self.refresh_tab()

    def do_clean(self, _value: str) -> None:
        gone = self.shaping.clean()
        self.say(f"{gone} frames taken out: their neighbours in the embedding are others")
        self.refresh_selection()

    def do_cut_step(self, value: str) -> None:
        self.desk.cut_step = int(float(value))
        self.wire.show(cutcount=tabs.cut_count(self.shaping, self.desk))

    def do_cut_size(self, value: str) -> None:
        self.desk.min_size = max(2, int(float(value)))
        self.wire.show(cutcount=tabs.cut_count(self.shaping, self.desk))

    def do_cut(self, _value: str) -> None:
        self._show_clustering(self.shaping.cut(self.desk.cut_step, self.desk.min_size))

    def do_lay_out(self, value: dict[str, Any]) -> None:
        name = str(value["embedding"])
        if name not in self.state.run.work.result_names("embeddings"):
            raise InputError(f"embedding '{name}': not in this work folder")
        self.start_job(f"clustering {name}", self._laid_out, heavy.lay_out, str(self.state.run.work.path), name)

    def _laid_out(self, name: str) -> None:
        self.show_view(None, name)

    def _show_clustering(self, name: str) -> None:
        self.say(f"new clustering ‘{name}’; the old one stays in the list")
        self.show_view(self.state.run.layout.name, name)

    # -- comparing -------------------------------------------------------------------------------------------------------
    def do_pin(self, _value: str) -> None:
        if not len(self.state.selection):
            raise InputError("select frames first")
        average = self.state.average()
        while not average.complete:
            average.read_more()
        self.desk.pinned, self.desk.pinned_mean = self.state.selection, average.finish().mean
        self.refresh_tab()

    def do_unpin(self, _value: str) -> None:
        self.desk.pinned, self.desk.pinned_mean = NOTHING, None
        self.refresh_tab()

    # -- handing on ------------------------------------------------------------------------------------------------------
    def do_subset(self, value: dict[str, Any]) -> None:
        state, name = self.state, str(value["name"]).strip()
        if not len(state.selection):
            raise InputError("select frames first")
        drawn = {"layout": state.run.layout.name, "drawn_in_2d": "lasso" in state.selection.reason}
        clustering = state.run.clustering.name if state.run.clustering else None
        meta = {**drawn, "clustering": clustering, "author": state.book.author}
        made = Subset(
            name, state.run.frame_id[state.selection.rows], state.selection.reason, state.labels.revision, meta
        )
        state.run.work.write_subset(made)
        self._tell(f"subset ‘{name}’: {len(made.frame_id)} frames")

    def do_export(self, value: dict[str, Any]) -> None:
        work, subset, end = self.state.run.work, str(value["subset"]), str(value["end"])
        work.read_subset(subset)  # says what is wrong with the name
        if end not in tabs_more.FORMATS:
            raise InputError(f"format '{end}': choose one of {', '.join(tabs_more.FORMATS)}")
        folder = work.path / "exports"
        folder.mkdir(exist_ok=True)
        to = str(folder / f"{subset}{end}")
        self.start_job(
            f"exporting {subset}{end}",
            self._exported,
            heavy.export,
            str(work.path),
            subset,
            to,
            bool(value.get("binned")),
        )

    def _exported(self, result: dict[str, Any]) -> None:
        self._tell(f"{result['n_frames']} frames in {result['path']}")

    def do_send(self, value: dict[str, Any]) -> None:
        subset, stage = str(value["subset"]), str(value["stage"])
        self.state.run.work.read_subset(subset)
        if stage not in tabs_more.STAGES:
            raise InputError(f"stage '{stage}': choose one of {', '.join(tabs_more.STAGES)}")
        self._tell(tabs_more.recon_command(str(self.state.run.work.path), subset, stage))

    def _tell(self, line: str) -> None:
        self.desk.said.append(line)
        self.say(line)
        self.desk.tab = "out"
        self.refresh_tab()

    # -- recording -------------------------------------------------------------------------------------------------------
    def do_strange(self, _value: str) -> None:
        found = self.state.run.work.read_clustering(STRANGE)
        rows = self.state.run.index.rows(found.frame_id[found.labels >= 0])
        self.state.select_rows(
            rows[rows >= 0], "Strange hits", "far from all clusters, alike among themselves", "strange"
        )
        self.refresh_selection()

    def do_follow(self, value: str) -> None:
        self.desk.paused = value != "on"
        self.refresh_tab()
