"""Tiny test runner for MicroPython: run_portable.py [--from FOLDER] MODULE...

The modules come from the sources, or from a FOLDER that holds them as bytecode.
"""

import gc
import sys


def main(names):
    passed = failed = 0
    for name in names:
        module = __import__(name)
        for attr in sorted(dir(module)):
            if not attr.startswith("test_"):
                continue
            gc.collect()  # so that what a test gets doesn't depend on the one before
            try:
                getattr(module, attr)()
                passed += 1
            except Exception as error:
                failed += 1
                print("FAIL %s.%s" % (name, attr))
                sys.print_exception(error)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


# argv[0] and not __file__, which MicroPython doesn't set for its main script.
_tests = sys.argv[0].rsplit("/", 1)[0] if "/" in sys.argv[0] else "."
_names = sys.argv[1:]
if _names[:1] == ["--from"]:
    sys.path.insert(0, _names[1])
    _names = _names[2:]
else:
    sys.path[:0] = [
        _tests + "/" + folder
        for folder in ("../shared", "../firmware", "../firmware/examples", "core", "firmware", "")
    ]
sys.exit(main(_names))
