// Runs portable test modules in the WebAssembly build of MicroPython:
//
//   node run_portable.mjs PACKAGE HEAP_KB BYTECODE MODULE...
//
// PACKAGE is the folder of the npm package, BYTECODE that of the modules as .mpy. The
// interpreter has a file system of its own, in memory: what the tests read is copied there.
// Prints what tests/run_portable.py prints, and ends with its status.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
// Beside the bytecode: the runner, examples that are checked, and what a Linux board measures.
const RUNNER = "/tests/run_portable.py";
const COPIES = [
  [path.join(ROOT, "tests/run_portable.py"), RUNNER],
  [path.join(ROOT, "firmware/device.example.json"), "/firmware/device.example.json"],
  [
    path.join(ROOT, "firmware/examples/own_sensors/device.json"),
    "/firmware/examples/own_sensors/device.json",
  ],
  ["/proc/loadavg", "/proc/loadavg"],
  ["/proc/meminfo", "/proc/meminfo"],
  ["/proc/stat", "/proc/stat"],
];

function copyFile(FS, source, target) {
  FS.mkdirTree(path.posix.dirname(target));
  FS.writeFile(target, fs.readFileSync(source));
}

function copyFolder(FS, source, target) {
  FS.mkdirTree(target);
  for (const entry of fs.readdirSync(source, { withFileTypes: true })) {
    const paths = [path.join(source, entry.name), `${target}/${entry.name}`];
    (entry.isDirectory() ? copyFolder : copyFile)(FS, ...paths);
  }
}

const [packageFolder, heapKb, bytecode, ...modules] = process.argv.slice(2);
const url = pathToFileURL(path.join(packageFolder, "micropython.mjs"));
const { loadMicroPython } = await import(url);
const micropython = await loadMicroPython({
  heapsize: Number(heapKb) * 1024,
  stdout: (line) => console.log(line),
  stderr: (line) => console.log(line),
});
for (const [source, target] of COPIES) {
  copyFile(micropython.FS, source, target);
}
copyFolder(micropython.FS, bytecode, "/bytecode");
micropython.FS.chdir("/");
// There is no command line: the runner finds its arguments in argv, and its status is what
// it would have left with.
const PROGRAM = `
import sys
sys.argv[:] = ${JSON.stringify([RUNNER, "--from", "/bytecode", ...modules])}
status = 1
try:
    with open(${JSON.stringify(RUNNER)}) as runner:
        exec(runner.read(), {"__name__": "__main__"})
except SystemExit as leaving:
    status = leaving.args[0]
`;
try {
  micropython.runPython(PROGRAM);
} catch (error) {
  // Node would show the source of the whole interpreter beside it.
  console.log(error.message);
}
process.exit(micropython.globals.get("status"));
