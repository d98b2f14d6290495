# A made event log of RANKS ranks and TASKS tasks into the folder DIR: the first attempt loses a rank of the
# gang, the second one is done. awk -v ranks=64 -v tasks=10000 -v dir=work/events -f report_log.awk
function say(file, time, text) { printf "{\"time\": %.6f, %s}\n", time, text > file }
function counters(t) {
  return sprintf("\"sent\": %d, \"between_nodes\": %d, \"messages\": %d, \"moving\": %.6f, \"waiting\": %.6f", 9000000 * t, 4000000 * t, 90 * t, t / 50, t / 9)
}
function phase(file, time, name, iteration, side) {
  say(file, time, sprintf("\"event\": \"phase\", \"phase\": \"%s\", \"iteration\": %d, \"side\": \"%s\", %s", name, iteration, side, counters(time - zero)))
}
function task(file, time, event, p, attempt, rest) {
  say(file, time, sprintf("\"event\": \"task-%s\", \"what\": \"reading\", \"rdd\": \"read made.csv\", \"stage\": 0, \"partition\": %d, \"attempt\": %d, \"slot\": %d%s", event, p, attempt, p % 4, rest))
}
function rank_log(a, r,    file, t, p, i, last) {
  file = dir "/attempt-" a ".rank-" r ".jsonl"
  t = zero = 1700000000 + (a - 1) * 100
  say(file, t, sprintf("\"event\": \"job-started\", \"command\": \"als train made.csv -o m.h5\", \"version\": \"0.1.0\", \"attempt\": %d, \"rank\": %d, \"ranks\": %d, \"host\": \"n%d\", \"nodes\": 8", a, r, ranks, int(r / 8)))
  phase(file, t += 0.1, "reading", 0, "")
  if (r == 0) say(file, t, sprintf("\"event\": \"lineage\", \"what\": \"reading\", \"rdd\": \"read made.csv\", \"node\": 0, \"partitions\": %d, \"parents\": [], \"wide\": false, \"kept\": \"disk\"", tasks / 2))
  say(file, t, sprintf("\"event\": \"stage-started\", \"what\": \"reading\", \"rdd\": \"read made.csv\", \"stage\": 0, \"partitions\": %d", tasks / 2))
  for (p = r; p < tasks / 2; p += ranks) {
    task(file, t, "started", p, 1, "")
    t += 0.2 + (p * 7919 % 97) / 500
    if (p == 5 && a == 1) {
      task(file, t, "crashed", p, 1, ", \"seconds\": 0.3, \"message\": \"died of signal 9\"")
      task(file, t, "started", p, 2, "")
      t += 0.3
    }
    task(file, t, "finished", p, p == 5 && a == 1 ? 2 : 1, ", \"rows\": 1000, \"bytes\": 20000, \"seconds\": 0.3")
  }
  phase(file, t = zero + 40, "hand-off", 0, "")
  t += 4
  last = a == 1 ? 9 : 20
  for (i = 1; i <= last; i++) {
    phase(file, t, "iteration", i, "items")
    phase(file, t += 0.7, "iteration", i, "users")
    if (a == 1 && i == last) return
    t += 0.8
    if (r == 0) say(file, t, sprintf("\"event\": \"iteration\", \"iteration\": %d, \"rmse_train\": %.6f, \"loss_ratings\": 1, \"loss_pairs\": 0, \"loss_reg\": 1, \"objective\": %.6f, \"seconds\": 1.5", i, 0.5 + 1 / i, 100 + 900 / i))
    say(file, t, sprintf("\"event\": \"spent\", \"iteration\": %d, \"seconds\": 1.5, \"gram\": 0.1, \"solve\": 0.9, \"test\": 0.05, \"exchange_bytes\": 4096, \"exchange\": 0.1, %s", i, counters(t - zero)))
  }
  phase(file, t += 0.1, "writing", last, "")
  say(file, t += 0.5, sprintf("\"event\": \"job-ended\", \"exit_code\": 0, \"peak\": %d, %s", 900000000 + 1000000 * r, counters(t - zero)))
}
BEGIN {
  for (a = 1; a <= 2; a++)
    for (r = 0; r < ranks; r++) {
      rank_log(a, r)
      close(dir "/attempt-" a ".rank-" r ".jsonl")
    }
}
