"""Whole flows: what a person does from start to end, with the numbers that are read at the end."""
import os
import subprocess
import tempfile

from driver import Gui, run

folder = tempfile.mkdtemp(prefix="moescope-flows-")
database = os.path.join(folder, "two-runs.db")
subprocess.check_call([os.environ["MOESCOPE_FIXTURE"], database])


def open_the_sample_and_read():
    gui = Gui("--screen", "experts", sample=database)
    try:
        gui.press("Try the Sample", "push button")
        summary = gui.text("Of 28 experts in 3 layers")
        assert "times its fair share" in summary, summary
        figure = gui.find("Load of every expert", "image")
        assert figure.get_description().startswith("Of 28 experts"), figure.get_description()
    finally:
        gui.close()


def brush_and_read():
    gui = Gui("--screen", "experts", "--select", "layer=1 expert=0..3", database)
    try:
        text = gui.text("Experts 0..3 in 1 layers")
        assert "of its tokens" in text, text
        gui.press("Clear layer=1", "push button")
        gui.press("Clear Selection", "push button")
        gui.find("Brush Experts")
    finally:
        gui.close()


def run_an_analysis():
    gui = Gui("--screen", "analyses", database)
    try:
        gui.press("Run", "push button")
        text = gui.text("Over 3 layers")
        assert "busiest expert" in text, text
        gui.find("Load of every expert", "image")
    finally:
        gui.close()


def simulate_a_cache():
    gui = Gui("--screen", "cache", database)
    try:
        text = gui.text("With ")
        assert "hit rate" in text, text
        gui.press("Keep These Curves", "push button")
        gui.find(starts="Forget")
    finally:
        gui.close()


def compare_two_runs():
    gui = Gui("--screen", "compare", database)
    try:
        gui.press("Compare With the Run Before", "push button")
        gui.find("Sets of Experts Changed", "image")
    finally:
        gui.close()


def export_as_the_command_line_does():
    gui = Gui("--screen", "experts", database)
    try:
        gui.find("Load of every expert", "image")
        gui.press("Export Figure", "push button")
        command = gui.text("moescope plot ")
        assert "--plot load" in command, command
    finally:
        gui.close()


run(
    open_the_sample_and_read,
    brush_and_read,
    run_an_analysis,
    simulate_a_cache,
    compare_two_runs,
    export_as_the_command_line_does,
)
