#!/bin/bash
# Two nodes on one machine, with a cable of a given speed between them: what it is worth that new factors
# leave while others are solved. Each node is a process with a network and a host name of its own, so that
# MPI sees two hosts and talks TCP. Root only. Prints Markdown. From the build directory:
#   BUILD=$PWD ../bench/nodes.sh
# Environment: RATES (words for tc: "200mbit 1000mbit"), WAYS ("need all"), ROUNDS (5), RATINGS, USERS,
# ITEMS, K, ITERATIONS. The two ways of --no-overlap take turns, since the machine may be shared.

: "${RATINGS:=600000}" "${USERS:=60000}" "${ITEMS:=40000}"
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
read -ra rates <<<"${RATES:-200mbit 1000mbit}"
read -ra ways <<<"${WAYS:-need all}"
rounds=${ROUNDS:-5} k=${K:-64} iterations=${ITERATIONS:-3}
PATH=$PATH:/usr/sbin:/sbin

net=$(mktemp -d "$work/nodes-XXXXXX")
host=() # first process of each node
unplug() {
  [[ ${#host[@]} -eq 0 ]] || kill "${host[@]}" 2>/dev/null || true
  rm -rf "$net"
}
trap unplug EXIT

printf '127.0.0.1 localhost\n10.78.0.1 n1\n10.78.0.2 n2\n' >"$net/hosts"
for name in n1 n2; do
  # shellcheck disable=SC2016 # for the inner shell to expand
  unshare --net --uts --mount sh -c 'hostname "$1" && mount --bind "$2/hosts" /etc/hosts &&
    ip link set lo up && : >"$2/$1.ready" && exec sleep infinity' sh $name "$net" &
  host+=($!)
  echo $! >"$net/$name.pid"
  for ((i = 0; i < 50; i++)); do
    [[ ! -e $net/$name.ready ]] || break
    sleep 0.1
  done
  [[ -e $net/$name.ready ]] || { echo "nodes.sh: no namespaces here" >&2; exit 1; }
done
on() { nsenter --target "$(cat "$net/$1.pid")" --net --uts --mount -- "${@:2}"; }
on n1 ip link add eth0 type veth peer name eth0 netns "${host[1]}"
on n1 ip address add 10.78.0.1/24 dev eth0
on n2 ip address add 10.78.0.2/24 dev eth0
for name in n1 n2; do on $name ip link set eth0 up; done
# What MPI starts its daemon on the other node with.
cat >"$net/agent" <<AGENT
#!/bin/sh
pid=\$(cat "$net/\$1.pid")
shift
exec nsenter --target "\$pid" --net --uts --mount -- sh -c "\$*"
AGENT
chmod +x "$net/agent"

reference_problem
for rate in "${rates[@]}"; do
  for name in n1 n2; do on $name tc qdisc replace dev eth0 root tbf rate "$rate" burst 256kb latency 200ms; done
  for way in "${ways[@]}"; do
    for ((round = 0; round < rounds; round++)); do
      for option in "" --no-overlap; do
        # shellcheck disable=SC2086 # no option is no word
        on n1 mpirun --mca plm_rsh_agent "$net/agent" --mca btl self,vader,tcp --mca btl_tcp_if_include eth0 \
          --mca oob_tcp_if_include eth0 -H n1:1,n2:1 "$als" train "$data" -o "$work/nodes-model.h5" \
          --rank "$k" --max-iter "$iterations" --threads 1 --exchange "$way" $option --quiet --json |
          sed "s/^/$rate $way ${option:-overlap} /"
      done
    done
  done
done >"$net/runs"

machine
echo "$ratings ratings, $users users, $items items, k = $k; 2 nodes of one rank of one thread; medians of $rounds runs"
echo
python3 - "$net/runs" <<'PY'
import json, statistics, sys
runs = {}
for line in open(sys.argv[1]):
    rate, way, how, run = line.split(" ", 3)
    runs.setdefault((rate, way), {}).setdefault(how, []).append(json.loads(run))
print("| cable | rows to | MB of a rank and iteration | on the cable, s | s/iteration, after all is solved | while others are "
      "| waiting, s/iteration, after all is solved | while others are |")
print("|---|---|---|---|---|---|---|---|")
for (rate, way), by in runs.items():
    seconds, waiting = [], []
    for how in ("--no-overlap", "overlap"):
        n = by[how][0]["iterations"]
        seconds.append(statistics.median(s for r in by[how] for s in r["seconds_per_iteration"]))
        waiting.append(statistics.median(max(r["exchange_seconds_by_rank"]) / n for r in by[how]))
    some = by["overlap"][0]
    assert some["nodes"] == 2
    mb = max(some["exchange_bytes_by_rank"]) / some["iterations"] * 1e-6
    on_cable = mb * 8 / float(rate.removesuffix("mbit"))
    print(f"| {rate} | {way} | {mb:.1f} | {on_cable:.2f} | {seconds[0]:.2f} | {seconds[1]:.2f} "
          f"| {waiting[0]:.2f} | {waiting[1]:.2f} |")
PY
