# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The page: what is where, and what happens when. It needs Gradio, the extra ``app``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from .guard import guards
from .levels import STEPS
from .session import Judgement, Session
from .sessions import Sessions, remedy_of
from .uploads import MOST_BYTES, MOST_GOOD, MOST_NEW
from .views import card, meaning, summary, thumbnails

TITLE = "Inspection from a few good photos"
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
INTRODUCTION = (
    f"# {TITLE}\n"
    "Drop photos of good parts and photos to judge. Nothing leaves this computer; what you drop is removed when you "
    "close the page."
)
LEARNING = 0.2  # of the work
# A browser saves what a link names; the file's name is that of the last part.
SAVE = """(file) => {
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || file.path.split("/").pop();
  document.body.append(link);
  link.click();
  link.remove();
}"""

SEE = "() => document.querySelector('#why').scrollIntoView({block: 'nearest', behavior: 'smooth'})"


class Page:
    """The page of some sessions.

    Args:
        sessions: Who visits it.

    Attributes:
        blocks: The page, for Gradio to serve.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as self.blocks:
            gr.Markdown(INTRODUCTION)
            self._build_inputs()
            self._build_results()
            self._connect()
            self.blocks.unload(self._close)

    def launch(self, host: str, port: int, names: Sequence[str]) -> str:
        """Begin to serve the page, without all that Gradio would do beyond that.

        Args:
            host: Address to bind to.
            port: Port of it.
            names: Names of this machine that are answered.

        Returns:
            The page's address.
        """
        theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
        _, address, _ = self.blocks.launch(
            server_name=host, server_port=port, share=False, prevent_thread_lock=True, quiet=True, show_error=True,
            max_file_size=MOST_BYTES, theme=theme, css=STYLE, footer_links=[], run_history=False, ssr_mode=False,
            pwa=False, mcp_server=False, enable_monitoring=False, inbrowser=False,
            app_kwargs={"middleware": guards(names)},
        )  # fmt: skip
        return str(address)

    def _build_inputs(self) -> None:
        begins_with_model = self._sessions.beginning.model is not None
        with gr.Row(elem_id="inputs"):
            with gr.Column(min_width=300):
                gr.Markdown("## 1. What is good")
                self._source = gr.Markdown(
                    _described(self._sessions.beginning.source), visible=begins_with_model, elem_id="source"
                )
                self._category = gr.Dropdown(
                    self._first_categories(),
                    value=_only(self._first_categories()),
                    label="What the new photos show",
                    visible=bool(self._first_categories()),
                    elem_id="category",
                )
                label = f"Good photos, 2 to {MOST_GOOD}; better 8"
                with gr.Accordion("Learn from other photos", open=False) if begins_with_model else nullcontext():
                    self._good = gr.File(label=label, file_count="multiple", height=180, elem_id="good")
                with gr.Accordion("Or open a model that was kept", open=False, elem_id="keep"):
                    self._kept = gr.File(label="part.ckpt, or a prompt bank *.safetensors", height=120, elem_id="kept")
            with gr.Column(min_width=300):
                gr.Markdown("## 2. What is to be judged")
                label = f"New photos, up to {MOST_NEW}"
                self._new = gr.File(label=label, file_count="multiple", height=180, elem_id="new")
                self._judge = gr.Button("Judge the new photos", variant="primary", elem_id="judge")
        self._status = gr.HTML(elem_id="status")

    def _build_results(self) -> None:
        with gr.Column(visible=False, elem_id="results") as self._results:
            with gr.Row(elem_id="threshold") as self._limits:
                self._slider = gr.Slider(
                    0, STEPS, 0, step=1, label="Threshold",
                    info="Farther left more photos are abnormal, farther right fewer.",
                    min_width=260, elem_id="slider", buttons=[],
                )  # fmt: skip
                with gr.Column(min_width=260):
                    self._meaning = gr.Markdown(elem_id="meaning")
                    self._back = gr.Button("Back to the calibrated threshold", size="sm", elem_id="back")
            with gr.Row(elem_id="photos"):
                with gr.Column(scale=2, min_width=300):
                    gr.Markdown("The most abnormal first. Choose one to see more of it.")
                    self._list = gr.Gallery(
                        label="Photos", show_label=False, columns=3, height="auto", allow_preview=False,
                        object_fit="contain", interactive=False, buttons=[], elem_id="list",
                    )  # fmt: skip
                with gr.Column(scale=3, min_width=300):
                    self._why = gr.Checkbox(label="Show why", container=False, elem_id="why")
                    self._card = gr.HTML(elem_id="card")
            gr.Markdown("## 3. Keep the results")
            with gr.Row(elem_id="downloads"):
                self._table = gr.Button("Table (verdicts.csv)", elem_id="table")
                self._pictures = gr.Button("Pictures (zip)", elem_id="pictures")
                self._part = gr.Button("Model (part.ckpt)", elem_id="part")
        self._chosen = gr.State(0)
        self._download = gr.DownloadButton(visible=False)

    def _connect(self) -> None:
        hidden: dict[str, Any] = {"api_visibility": "private"}
        quick = hidden | {"show_progress": "hidden", "trigger_mode": "always_last"}
        for files in (self._good, self._new):
            files.upload(self._remember, files, None, **hidden)
        sources = [self._source, self._category, self._good]
        self._kept.upload(self._open, self._kept, [*sources, self._kept], concurrency_id="model", **hidden)
        shown = [self._status, self._slider, self._meaning, self._back, self._list, self._card]
        self._judge.click(
            self._judge_photos,
            [self._good, self._new, self._category, self._why],
            [*shown, self._results, self._limits, self._chosen, self._source, self._category, self._part],
            concurrency_id="model",
            show_progress_on=[self._status],
            **hidden,
        )
        view = [self._chosen, self._why]
        self._slider.input(self._move, [self._slider, *view], [*shown[:1], *shown[2:]], **quick)
        self._back.click(self._move_back, view, shown, **quick)
        chosen = self._list.select(
            self._choose, self._why, [self._chosen, self._card], concurrency_id="model", **hidden
        )
        chosen.success(None, None, None, js=SEE)
        self._why.input(self._show, view, self._card, concurrency_id="model", **hidden)
        for button, make in ((self._table, _table), (self._pictures, _pictures), (self._part, _part)):
            made = button.click(self._maker(make), None, self._download, concurrency_id="model", **hidden)
            made.success(None, self._download, None, js=SAVE)

    def _session(self, request: gr.Request) -> Session:
        return self._sessions.of(str(request.session_hash))

    def _first_categories(self) -> list[str]:
        model = self._sessions.beginning.model
        return model.prompt_bank.names if model and model.prompt_bank else []

    # What happens

    def _close(self, request: gr.Request) -> None:
        self._sessions.close(str(request.session_hash))

    def _remember(self, files: list[str] | None, request: gr.Request) -> None:
        self._sessions.remember(str(request.session_hash), map(Path, files or []))

    def _open(self, file: str | None, request: gr.Request) -> Sequence[Any]:
        self._remember([file] if file else [], request)
        session = self._session(request)
        with _telling():
            if file:
                session.open(Path(file))
        names = session.categories
        return (
            gr.Markdown(_described(session.source), visible=True),
            gr.Dropdown(names, value=_only(names), visible=bool(names)),
            None,
            None,
        )

    def _judge_photos(
        self,
        good: list[str] | None,
        new: list[str] | None,
        category: str | None,
        explain: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # it is how Gradio gets to know
    ) -> Sequence[Any]:
        session = self._session(request)
        with _telling():
            if good:
                session.learn([*map(Path, good)], lambda share, text: progress(share * LEARNING, desc=text))
            begin = LEARNING if good else 0.0
            judged = session.judge(
                [*map(Path, new or [])],
                category,
                lambda share, text: progress(begin + share * (1 - begin), desc=text),
            )
            shown = self._shown(session, judged, 0, explain)
        has_bank = bool(session.categories)
        return (
            *shown,
            gr.Column(visible=True),
            gr.Row(visible=judged.levels.is_calibrated),
            0,
            gr.Markdown(_described(session.source), visible=not good),
            gr.Dropdown(visible=has_bank),
            gr.Button(visible=not has_bank),
        )

    def _shown(self, session: Session, judged: Judgement, place: int, explain: bool) -> list[Any]:
        listed = gr.Gallery(thumbnails(judged, session.new_list()), selected_index=place)
        back = gr.Button(interactive=judged.is_moved)
        return [summary(judged), judged.position, meaning(judged), back, listed, card(judged, place, explain=explain)]

    def _move(self, position: int, place: int, explain: bool, request: gr.Request) -> Sequence[Any]:
        shown = self._moved(position, place, explain, request)
        return [*shown[:1], *shown[2:]]  # the slider is where it is

    def _move_back(self, place: int, explain: bool, request: gr.Request) -> Sequence[Any]:
        return self._moved(None, place, explain, request)

    def _moved(self, position: int | None, place: int, explain: bool, request: gr.Request) -> list[Any]:
        session = self._session(request)
        with _telling():
            session.judged.move(position)
            return self._shown(session, session.judged, place, explain)

    def _choose(self, explain: bool, request: gr.Request, event: gr.SelectData) -> tuple[int, str]:
        return event.index, self._show(event.index, explain, request)

    def _show(self, place: int, explain: bool, request: gr.Request) -> str:
        with _telling():
            return card(self._session(request).judged, place, explain=explain)

    def _maker(self, make: Callable[..., Path]) -> Callable[..., Any]:
        def run(request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: ANN401, B008
            with _telling():
                file = make(self._session(request), lambda share, text: progress(share, desc=text))
                return gr.DownloadButton(value=str(file))

        return run


def _described(source: str) -> str:
    return f"Model: **{escape(source)}**"


def _only(names: Sequence[str]) -> str | None:
    """The one name, if there is no choice. Gradio would choose the first of several."""
    return names[0] if len(names) == 1 else None


def _table(session: Session, _: Any) -> Path:  # noqa: ANN401
    return session.save_table()


def _pictures(session: Session, tell: Any) -> Path:  # noqa: ANN401
    return session.save_pictures(tell)


def _part(session: Session, _: Any) -> Path:  # noqa: ANN401
    return session.save_part()


@contextmanager
def _telling() -> Iterator[None]:
    """Show what users can do something about; the text is shown as it is, not as HTML."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(escape(remedy_of(error)), duration=30, print_exception=False) from error
