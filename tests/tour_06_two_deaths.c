/* Tour 06, two deaths: kill a task, fail in the gang, kill a rank, and see what has to run again.
 *   mpirun -n 3 tour_06_two_deaths                 nothing happens
 *   mpirun -n 3 tour_06_two_deaths task            the task of partition 4 is killed, once
 *   mpirun -n 3 tour_06_two_deaths error           rank 1 runs out of memory in the gang, once
 *   gangrun mpirun -n 3 tour_06_two_deaths rank    rank 1 is killed in the gang, in the first launch */
#include "jobs/run.h"
#include "mpi_bridge/gang.h"
#include "tests/tour.h"

#include <signal.h>

typedef struct story {
  const char *death;
  job_run *run;  /* what gangrun reads: how far this launch came, and how it ended */
  int64_t tasks; /* that this rank has started */
} story;

static rdd_status stumble(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  const story *s = arg;
  (void)err;
  if (!strcmp(s->death, "task") && rdd_task_partition(task) == 4 && rdd_task_attempt(task) == 0)
    raise(SIGKILL);
  *out = *in;
  return RDD_OK;
}

static void count_tasks(void *arg, const rdd_event *e) {
  story *s = arg;
  s->tasks += e->kind == RDD_TASK_STARTED;
}

static rdd_status body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const story *s = arg;
  (void)parts;
  rdd_status st = job_run_phase(s->run, "hand-off", 0, err);
  if (!st && gang_rank(g) == 1 && !strcmp(s->death, "error") && gang_attempt(g) == 1)
    st = rdd_set(err, RDD_ENOMEM, "rank 1 has no memory");
  if (st) return st; /* the others learn of it at the next sync */
  st = gang_barrier(g, err);
  if (st) return st;
  if (gang_rank(g) == 1 && !strcmp(s->death, "rank") && job_run_attempt(s->run) == 1)
    raise(SIGKILL);
  int64_t tasks = s->tasks;
  rdd_allreduce(gang_comm(g), &tasks, 1, RDD_SUM);
  if (gang_rank(g) == 0)
    printf("launch %d, try %d of the gang: done, after %d tasks in this launch\n",
           job_run_attempt(s->run), gang_attempt(g), (int)tasks);
  return RDD_OK;
}

/* Rank 0 is told why all begin again. */
static void say_why(void *arg, int attempt, const rdd_err *why) {
  (void)arg;
  printf("try %d of the gang, because: %s\n", attempt, why->message);
}

int main(int argc, char **argv) {
  const rdd_schema schema = tour_schema();
  story s = {.death = "none"};
  const rdd_run_opts run = {.slots = 1, .event = count_tasks, .arg = &s};
  const gang_opts opts = {.rerun = say_why};
  rdd *source, *stumbling;
  rdd_comm *comm;
  rdd_err err;
  TRY(gang_open(&argc, &argv, &comm, &err));
  if (argc > 1) s.death = argv[1];
  TRY(job_run_open(&s.run, comm, "tour_06_two_deaths", NULL, NULL, 0, &err));
  TRY(rdd_source(&source, "numbers", 6, &schema, tour_count_up, NULL, &err));
  TRY(rdd_map_batches(&stumbling, source, "stumbling", &schema, stumble, &s, &err));
  TRY(gang_run(comm, &stumbling, 1, &run, NULL, &opts, body, &s, &err));
  rdd_release(stumbling);
  rdd_release(source);
  fflush(stdout);
  bool recorded = job_run_close(s.run, 0, NULL); /* "done": gangrun believes this alone */
  rdd_comm_close(comm);
  return !recorded;
}
