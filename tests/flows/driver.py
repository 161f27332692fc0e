"""Drives moescope-gui from outside through AT-SPI, as a screen reader sees it."""
import os
import subprocess
import sys
import tempfile
import time

SKIP = 77


def tell(line):
    """A line of TAP, past what the bus prints (run.sh)."""
    os.write(9 if "MOESCOPE_TAP" in os.environ else 1, (line + "\n").encode())


try:
    import gi

    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi
except (ImportError, ValueError):
    tell("1..0 # skip Atspi for Python is not installed")
    sys.exit(SKIP)

PATIENCE = float(os.environ.get("MOESCOPE_PATIENCE", 60))


class Gui:
    def __init__(self, *arguments, sample=None):
        self.state = tempfile.mkdtemp(prefix="moescope-flow-")
        environment = dict(
            os.environ,
            GTK_A11Y="atspi",
            GSK_RENDERER="cairo",
            GDK_BACKEND="x11",
            GSETTINGS_BACKEND="memory",
            ADW_DISABLE_PORTAL="1",
            XDG_STATE_HOME=self.state,
            XDG_DATA_HOME=self.state,
        )
        if sample:
            environment["MOESCOPE_SAMPLE"] = sample
        self.process = subprocess.Popen([os.environ["MOESCOPE_GUI"], *arguments], env=environment)
        self.application = self.wait(self.find_application, "the application")

    def find_application(self):
        desktop = Atspi.get_desktop(0)
        for i in range(desktop.get_child_count()):
            child = desktop.get_child_at_index(i)
            if child and child.get_process_id() == self.process.pid and child.get_child_count() > 0:
                return child
        return None

    def wait(self, function, what):
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            try:
                found = function()
                if found:
                    return found
            except Exception:  # widgets come and go under our feet
                pass
            time.sleep(0.1)
        raise AssertionError("waited in vain for " + what)

    def walk(self, node=None):
        node = node or self.application
        yield node
        for i in range(node.get_child_count()):
            child = node.get_child_at_index(i)
            if child:
                yield from self.walk(child)

    def showing(self, node):
        """GTK 4.8 does not tell which widgets show; those of hidden pages have no size."""
        component = node.get_component_iface()
        return component and component.get_extents(Atspi.CoordType.WINDOW).width > 0

    def find(self, name=None, role=None, starts=None, contains=None):
        def look():
            for node in self.walk():
                if role and node.get_role_name() != role:
                    continue
                text = node.get_name() or ""
                # GTK 4.8 names a button by its label and again by its contents.
                if name is not None and text not in (name, name + " " + name, name + " " + name + "…"):
                    continue
                if starts is not None and not text.startswith(starts):
                    continue
                if contains is not None and contains not in text:
                    continue
                if self.showing(node):
                    return node
            return None

        return self.wait(look, "%s %s" % (role or "", name or starts or contains))

    def press(self, name, role=None):
        node = self.find(name, role)
        action = node.get_action_iface()
        assert action and action.do_action(0), "cannot press " + name

    def type(self, name, text):
        node = self.find(name, "text")
        assert node.get_editable_text_iface().set_text_contents(text), "cannot type into " + name

    def gone(self, name=None, starts=None):
        def look():
            return not any(
                self.showing(node)
                and (node.get_name() == name or starts and (node.get_name() or "").startswith(starts))
                for node in self.walk()
            )

        return self.wait(look, "the end of %s" % (name or starts))

    def text(self, starts):
        return self.find(starts=starts).get_name()

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def run(*flows):
    tell("1..%d" % len(flows))
    failed = 0
    for number, flow in enumerate(flows, 1):
        try:
            flow()
            tell("ok %d %s" % (number, flow.__name__))
        except AssertionError as error:
            failed = 1
            tell("not ok %d %s: %s" % (number, flow.__name__, error))
    sys.exit(failed)
