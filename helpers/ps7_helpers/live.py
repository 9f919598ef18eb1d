"""A plot of the losses that grows while a notebook trains."""

import io
import sys
import time
from collections.abc import Callable
from typing import Any

from ps7_helpers.losses import LossHistory, draw_losses, plot_losses

PERIOD_S = 3.0


class LivePlot:
    """In a notebook one picture that is drawn anew now and then; elsewhere nothing until the end.

    Args:
        period_s: Seconds between two drawings at least, and twenty times what a drawing takes, so that the plot
            costs no more than a twentieth of the time.
        clock: Gives the time in seconds.
    """

    def __init__(self, period_s: float = PERIOD_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._period, self._clock = period_s, clock
        self._next = clock() + period_s
        self._handle: Any = None

    def update(self, history: LossHistory) -> None:
        """Draw what there is, if it is time for it and this is a notebook."""
        if self._clock() >= self._next and _in_notebook():
            started = self._clock()
            self._show(history)
            now = self._clock()
            self._next = now + max(self._period, 20 * (now - started))

    def finish(self, history: LossHistory) -> None:
        """The last drawing: in place of the others, or as a figure of its own."""
        if self._handle is None:
            plot_losses(history)
        else:
            self._show(history)

    def _show(self, history: LossHistory) -> None:
        from IPython.display import Image, display
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        draw_losses(figure.subplots(), history)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=72)
        words = {"alt": repr(history)}  # as metadata: IPython 7, which Colab has, knows no argument `alt`
        image = Image(data=picture.getvalue(), format="png", metadata=words)
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    return "ipykernel" in sys.modules
