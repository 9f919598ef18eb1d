"""Showing figures wherever the code runs: a notebook, a window, or nowhere."""

import warnings


def show() -> None:
    """Show the current figure; without a screen it is drawn for nobody and closed, without a warning."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        plt.show()
    if plt.get_backend().lower() == "agg":
        plt.close()
