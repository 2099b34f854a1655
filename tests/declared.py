"""The flags that a module declares."""


class _Recorder(object):
    """Stands in for absl's flags; keeps the names and defaults of what is declared."""

    def __init__(self):
        self.found = {}

    def __getattr__(self, kind):
        return lambda name, default, *rest, **options: self.found.update({name: default})


def flags_of(monkeypatch, module):
    """{name: default} of the flags that a module's `define_flags` declares."""
    recorder = _Recorder()
    monkeypatch.setattr(module, "flags", recorder)
    module.define_flags()
    return recorder.found
