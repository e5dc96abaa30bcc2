"""What the project costs, measured: `make bench`, or `make bench NAMES=core.mpy_bytes`.

budgets     tools/budgets.toml: the goal of a figure, and its ceiling
figure      one measured figure, and how it is written down
bench_file  build/bench.json and its like, read and written
origin      when and where a run was measured
compare     what has changed between two runs: `make bench-compare`
ratchet     tightens the ceilings: `make bench-ratchet`
child       measurements that import the agent, in a process of their own
bytecode    compiles for a board, as the oldest firmware that is supported would have it
workload    runs a script of workloads/ as a process and reads what it has measured
registry    which figures there are
core_*      the figures of the core, one file per group
link_*      those of the link, and the readings and the two ends that they are measured with
scale       what things cost by how many there are; plots draws that
peers       the same readings through what a user could take instead
senml       the same readings as others would write them

`workloads/` holds portable scripts. They run as processes of either interpreter
and are the only ones that may import the node. Not part of the wheel.
"""
