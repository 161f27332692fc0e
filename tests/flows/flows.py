"""Whole flows: what a person does from start to end, with the numbers that are read at the end."""
import json
import os
import shutil
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
        summary = gui.text("All 28 experts in 3 layers")
        assert "times its fair share" in summary, summary
        figure = gui.find("Load of every expert", "image")
        assert figure.get_description().startswith("All 28 experts"), figure.get_description()
    finally:
        gui.close()


def answer_in_two_clicks(sample, button, sentence):
    """From the start screen: the sample, then the question; the answer with its interval."""
    gui = Gui(sample=sample)
    try:
        gui.press("Try the Sample", "push button")
        gui.press(button, "push button")
        answer = gui.find(contains=sentence).get_name()
        assert "[" in answer and "]" in answer, answer
        return answer
    finally:
        gui.close()


def which_experts_are_specialised():
    sample = os.path.join(samples, "sample.db")
    answer = answer_in_two_clicks(sample, "Experts specialised on zh", "experts are specialised on zh, in layers")
    assert "Strongest: expert" in answer, answer


def how_many_experts_to_keep():
    answer = answer_in_two_clicks(database, "Experts to keep for 90 % of hits", "kept for good, give")
    assert "an LRU cache needs" in answer, answer


def did_a_checkpoint_route_differently():
    sample = os.path.join(samples, "checkpoints.db")
    answer = answer_in_two_clicks(sample, "Compare with run 3: step 001200", "chose another set of experts")
    assert "most in layer" in answer, answer
    assert "matters" in answer or "loss changes" in answer, answer


def brush_and_read():
    gui = Gui("--screen", "experts", "--select", "layer=1 expert=0..3", database)
    try:
        text = gui.text("Experts 0..3 in 1 layer")
        assert "times the share of the rest" in text, text
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
        gui.find("Sets of experts changed", "image")
    finally:
        gui.close()


def show_two_runs_together():
    gui = Gui("--screen", "consistency", database)
    try:
        gui.text("Deciding once per")
        gui.press("Show run 1 in figures", "push button")
        summary = gui.text("1: test: Deciding")
        assert "\n2: " in summary, summary
        gui.press("Hide the other runs", "push button")
        gui.text("Deciding once per")
    finally:
        gui.close()


def export_as_the_command_line_does():
    gui = Gui("--screen", "experts", database)
    saved = os.path.join(folder, "load.pdf")
    beside = os.path.join(folder, "beside")
    try:
        gui.find("Load of every expert", "image")
        gui.press("Export Figure", "push button")
        command = gui.text("moescope plot ")
        gui.press("Save", "push button")
        gui.type("Name:", saved)
        gui.press("_Save Save", "push button")
        gui.wait(lambda: os.path.exists(saved), "the file")
    finally:
        gui.close()
    os.mkdir(beside)
    subprocess.check_call(command, shell=True, cwd=beside, env=dict(os.environ, PATH=programs))
    with open(saved, "rb") as one, open(os.path.join(beside, "load.pdf"), "rb") as other:
        assert one.read() == other.read(), "not what this writes: " + command


def order_a_collection(gui, texts, output):
    gui.press("New Collection", "push button")
    gui.type("Model (GGUF)", os.path.join(samples, "moescope-sample.gguf"))
    gui.type("Database to write", output)
    gui.type("Path of a file", texts)
    gui.press("Add This File", "push button")
    command = gui.text("moescope collect ")
    gui.press("Start", "push button")
    return command


def decisions(path):
    return subprocess.check_output([os.environ["MOESCOPE"], "export", path, "routing"])


def stop_a_collection():
    gui = Gui(database)
    texts = os.path.join(folder, "long.jsonl")
    with open(os.path.join(samples, "parallel.jsonl")) as few, open(texts, "w") as many:
        many.writelines(few.readlines() * 4)
    try:
        order_a_collection(gui, texts, os.path.join(folder, "stopped.db"))
        gui.text("Collecting: layer ")
        bar = gui.find(role="progress bar")
        gui.wait(lambda: 0 < bar.get_value_iface().get_current_value() < 1, "progress")
        gui.press("Stop", "push button")
        gui.gone(starts="Collecting")
    finally:
        gui.close()


def collect_a_run():
    gui = Gui(database)
    texts = os.path.join(folder, "short.jsonl")
    output = os.path.join(folder, "collected.db")
    again = os.path.join(folder, "again.db")
    with open(texts, "w") as file:
        for n, text in enumerate(["One expert reads this.", "Ein anderer liest jenes.", "这是第三个。"]):
            file.write(json.dumps({"id": str(n), "text": text}) + "\n")
    try:
        command = order_a_collection(gui, texts, output)
        row = gui.find(starts="1: moescope-sample on short", role="list item")
        assert "moescope sample / short" in row.get_description(), row.get_description()
        assert " tokens" in row.get_description(), row.get_description()
        gui.find("Load of every expert", "image")
    finally:
        gui.close()
    assert command.endswith(" -o " + output), command
    subprocess.check_output(command[: -len(output)] + again, shell=True, env=dict(os.environ, PATH=programs))
    assert decisions(output).count(b"\n") > 100
    assert decisions(output) == decisions(again)


samples = os.path.join(os.environ["MOESCOPE_SOURCE_ROOT"], "samples")
programs = os.path.dirname(os.environ["MOESCOPE"]) + os.pathsep + os.environ["PATH"]
try:
    run(
        open_the_sample_and_read,
        which_experts_are_specialised,
        how_many_experts_to_keep,
        did_a_checkpoint_route_differently,
        brush_and_read,
        run_an_analysis,
        simulate_a_cache,
        compare_two_runs,
        show_two_runs_together,
        export_as_the_command_line_does,
        stop_a_collection,
        collect_a_run,
    )
finally:
    shutil.rmtree(folder)
