/* als plan: what a fit will take on a cluster, before it is asked for: memory, bytes between nodes, seconds,
 * how many nodes, and the batch script. Numbers of ratings are counted in the file or made from three
 * numbers, rates are measured on this machine, the rest is mllib/plan.h. */
#include "jobs/memory_use.h"
#include "jobs/output.h"
#include "jobs/params.h"
#include "jobs/plan_impl.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* What Open MPI 4.1 takes of a process, where this one has none of it: its own memory, its libraries, and for
 * each other rank of the node the buffers between the two. Bytes, measured. */
static const double mpi_own = 3.0e6, mpi_code = 8.0e6, mpi_peer = 0.7e6;

/* Seconds of a rank for a message to another node, as on a fast network. */
static const double message_seconds = 1.5e-6;

static const char default_network[] = "100Gbit";

/* clang-format off */

/* Those of als train, which also go into the batch script as they are. */
#define TRAIN_OPTIONS \
  JOB_PARAM_OPTIONS, JOB_START_OPTIONS, \
  JOB_EXCHANGE_OPTIONS, \
  JOB_INPUT_OPTIONS, \
  {0}

/* clang-format on */

static const job_option train_options[] = {TRAIN_OPTIONS};

static const job_option options[] = {
    {"users", 0, JOB_INT, "N", NULL, 1, 4e9, false, "instead of a file: number of users"},
    {"items", 0, JOB_INT, "N", NULL, 1, 4e9, false, "instead of a file: number of items"},
    {"ratings", 0, JOB_INT, "N", NULL, 1, 9e15, false, "instead of a file: number of ratings"},
    {"ranks", 0, JOB_INT, "P", NULL, 1, RDD_MAX_RANKS, false,
     "plan for so many ranks; default: the fewest nodes whose memory is enough"},
    {"ranks-per-node", 0, JOB_INT, "R", NULL, 1, RDD_MAX_RANKS, false,
     "ranks of a node; default: this machine's cores by --threads"},
    {"node-memory", 0, JOB_STRING, "BYTES", NULL, 0, 0, false,
     "memory of a node, such as 180G; default: what is free here"},
    {"network", 0, JOB_STRING, "RATE", default_network, 0, 0, false,
     "what a node can send and, at once, receive each second"},
    {"script", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "write the batch script there; default: print it last"},
    TRAIN_OPTIONS,
};

/* ---- What is asked ---- */

static int cores_here(void) {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return cores < 1 ? 1 : cores;
}

/* That of the ranks that are here. */
static void take_layout(planning *p) {
  const rdd_comm *comm = p->j->comm;
  p->layout = (als_layout){
      .ranks = comm->size, .ranks_per_node = comm->node_size, .threads = p->j->threads};
  p->ranks_given = true;
  p->node_memory = (double)job_memory_available();
}

static rdd_status read_layout(planning *p, rdd_err *err) {
  const job_args *args = p->args;
  als_layout *l = &p->layout;
  l->threads = job_given(args, "threads") ? (int)job_int(args, "threads") : 1;
  p->ranks_given = job_given(args, "ranks");
  l->ranks_per_node = p->cores > l->threads ? p->cores / l->threads : 1;
  if (job_given(args, "ranks-per-node")) l->ranks_per_node = job_int(args, "ranks-per-node");
  if (p->ranks_given) l->ranks = job_int(args, "ranks");
  if (job_given(args, "node-memory"))
    return job_plan_bytes("node-memory", job_string(args, "node-memory"), &p->node_memory, err);
  p->node_memory = (double)job_memory_available();
  if (p->node_memory > 0) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE,
                 "this system does not tell its free memory; give --node-memory, such as 180G");
}

static rdd_status read_request(planning *p, rdd_err *err) {
  als_params *params = &p->problem.params;
  rdd_status st = job_params_read(p->args, params, err);
  if (st) return st;
  job_exchange_read(p->args, params);
  if (job_positionals(p->args) > 0) p->ratings = job_positional(p->args)[0];
  p->problem.message = message_seconds;
  p->cores = cores_here();
  if (p->dry) {
    take_layout(p);
    return job_plan_bandwidth("network", default_network, &p->problem.bandwidth, err);
  }
  p->problem.checkpoints = true; /* gangrun asks for them */
  st = read_layout(p, err);
  if (!st)
    st = job_plan_bandwidth("network", job_string(p->args, "network"), &p->problem.bandwidth, err);
  if (!st && job_given(p->args, "script") && p->j->comm->rank == 0)
    st = job_output_check(job_string(p->args, "script"), NULL, err);
  if (!st && job_given(p->args, "script") && p->j->comm->rank == 0)
    st = job_output_apart(job_string(p->args, "script"), job_positional(p->args),
                          job_positionals(p->args), err);
  return st;
}

/* ---- Which layouts ---- */

static als_plan plan_of(const planning *p, als_layout *l) {
  int64_t asked = job_int(p->args, "num-partitions");
  l->partitions = asked > 0 ? asked
                            : job_input_partitions(p->input, p->count, l->ranks * l->threads);
  return als_plan_make(&p->problem, l);
}

static als_layout on_nodes(const planning *p, int64_t nodes) {
  als_layout l = p->layout;
  l.ranks = nodes * l.ranks_per_node;
  return l;
}

static int64_t most_nodes(const planning *p) {
  return RDD_MAX_RANKS / p->layout.ranks_per_node;
}

static bool fits_on(const planning *p, int64_t nodes) {
  als_layout l = on_nodes(p, nodes);
  return plan_of(p, &l).first_node <= p->node_memory;
}

/* The fewest nodes that have the memory; 0: not with any number of them. */
static int64_t fewest_nodes(const planning *p) {
  int64_t most = most_nodes(p), high = 1, low = 0;
  while (high < most && !fits_on(p, high)) {
    low = high;
    high = 2 * high < most ? 2 * high : most;
  }
  if (!fits_on(p, high)) return 0;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (fits_on(p, middle))
      high = middle;
    else
      low = middle;
  }
  return high;
}

static void add_row(planning *p, als_layout l) {
  if (p->n == PLAN_ROWS) return;
  p->row[p->n] = plan_of(p, &l);
  p->row_layout[p->n++] = l;
}

/* From a row of the table on more nodes hardly pay: the network takes longer than solving, or twice the nodes
 * are less than 1.2 times as fast. */
static bool stops_paying(const planning *p, int row) {
  const als_plan *now = &p->row[row];
  if (row == 0) return false;
  const als_plan *before = now - 1;
  double more = (double)now->nodes / (double)before->nodes;
  return now->wire >= now->solve || before->iteration < 0.6 * more * now->iteration;
}

/* 1, 2, 4 ... nodes: at least 8, twice the plan's, and until they do not pay. */
static void fill_table(planning *p) {
  int64_t chosen = p->layout.ranks;
  if (p->dry) {
    add_row(p, p->layout);
    return;
  }
  for (int64_t nodes = 1; nodes <= most_nodes(p); nodes *= 2) {
    als_layout l = on_nodes(p, nodes);
    bool first = p->n == 0 || p->row_layout[p->n - 1].ranks < chosen;
    if (chosen < l.ranks && first) add_row(p, p->layout);
    add_row(p, l);
    if (nodes >= 8 && l.ranks >= 2 * chosen && stops_paying(p, p->n - 1)) break;
  }
  if (p->row_layout[p->n - 1].ranks < chosen) add_row(p, p->layout);
}

static rdd_status does_not_fit(const planning *p, rdd_err *err) {
  als_layout most = on_nodes(p, most_nodes(p));
  als_plan plan = plan_of(p, &most);
  return rdd_set(
      err, RDD_EUSAGE,
      "no number of nodes is enough: each has tables of %.4g GB, the first one a copy too, "
      "and %.4g GB of memory; what helps is a smaller --rank, more --node-memory, or fewer "
      "--ranks-per-node",
      1e-9 * plan.shared, 1e-9 * p->node_memory);
}

/* The layout: what was asked for, or the fewest nodes that have the memory. */
static rdd_status choose(planning *p, rdd_err *err) {
  als_layout *l = &p->layout;
  if (p->ranks_given) {
    if (l->ranks_per_node > l->ranks) l->ranks_per_node = l->ranks;
    return RDD_OK;
  }
  int64_t nodes = fewest_nodes(p);
  if (nodes == 0) return does_not_fit(p, err);
  *l = on_nodes(p, nodes);
  return RDD_OK;
}

/* The first row of the table that does not pay; NULL: all do. */
static const als_plan *last_worth(const planning *p) {
  for (int i = 0; i < p->n; i++)
    if (stops_paying(p, i)) return &p->row[i];
  return NULL;
}

/* ---- What is told ---- */

static const char *const phase_name[ALS_PHASES] = {
    "ids, and ratings as they were read", "hand-off by user", "hand-off by item", "iterations"};

static void print_table(const planning *p) {
  printf("%6s %6s %12s %10s %11s %13s %10s %10s %10s\n", "nodes", "ranks", "a rank's own", "a node",
         "first node", "rows sent", "solving", "network", "iteration");
  for (int i = 0; i < p->n; i++) {
    const als_plan *r = &p->row[i];
    bool chosen = p->row_layout[i].ranks == p->layout.ranks;
    printf("%6" PRId64 " %6" PRId64 " %12s %10s %11s %13s %8.3g s %8.3g s %8.3g s%s\n", r->nodes,
           p->row_layout[i].ranks, job_size_text(r->own), job_size_text(r->node),
           job_size_text(r->first_node), job_size_text(r->rows_bytes), r->solve, r->wire,
           r->iteration, chosen ? "  <" : "");
  }
}

static void print_memory(const planning *p) {
  const als_plan *plan = &p->plan;
  printf("memory of a rank: %s of its own, most in phase: %s; as the kernel counts it (VmHWM) %s\n",
         job_size_text(plan->own), phase_name[plan->peak], job_size_text(plan->seen));
  printf("memory of a node: %s, of which %s are tables of ids and factors that its ranks share;\n"
         "  the first node has %s: %s of %s\n",
         job_size_text(plan->node), job_size_text(plan->shared),
         p->problem.checkpoints ? "a checkpoint's copy of the factors beside them" : "no more",
         job_size_text(plan->first_node), job_size_text(p->node_memory));
}

static void print_traffic(const planning *p) {
  static const char *const name[2] = {"users", "items"};
  const als_plan *plan = &p->plan;
  if (plan->nodes == 1) {
    printf("between nodes: nothing, on one node\n");
    return;
  }
  for (int side = 0; side < 2; side++)
    printf("new factors of %s, an iteration: %s to where they are needed, %s to all; %s it is\n",
           name[side], job_size_text(plan->need[side]), job_size_text(plan->all[side]),
           plan->need_only[side] ? "where they are needed" : "all");
  if (plan->gram_bytes > 0)
    printf("Gram matrices, an iteration: %s\n", job_size_text(plan->gram_bytes));
  printf("ratings, once, while they are handed over: %s\n", job_size_text(plan->hand_off_bytes));
}

static void print_time(const planning *p) {
  const als_plan *plan = &p->plan;
  const als_params *params = &p->problem.params;
  double cores = (double)p->layout.ranks * p->layout.threads;
  printf("an iteration: %.3g s; solving %.3g s, by %.3g GFLOP/s of a core, which gathers %.3g GB/s "
         "of factors\n",
         plan->iteration, plan->solve, 1e-9 * plan->flops / plan->solve / cores,
         1e-9 * 2 * p->problem.ratings * 4 * params->rank / plan->solve / cores);
  printf("all: %.3g s for %d iterations%s, and %.3g s for reading and hand-off\n",
         plan->begin + plan->iteration * params->max_iter, params->max_iter,
         params->final_exact ? " (and a last exact one, not in it)" : "", plan->begin);
}

static void print_assumptions(const planning *p) {
  const als_plan *bound = last_worth(p);
  if (bound)
    printf("more nodes stop paying at about %" PRId64 ": %s\n", bound->nodes,
           bound->wire >= bound->solve ? "the network takes as long as solving"
                                       : "a block of rows, or a long row, is one rank's");
  printf("assumed:\n");
  if (p->ratings)
    printf("  ratings are spread over the nodes as at random; %s\n",
           p->problem.by_user ? "those of a user stand together in the file"
                              : "in no order in the file");
  else
    printf("  popularity is a power law, as als generate makes it; ratings in no order; integer "
           "ids\n");
  printf("  nodes have cores like the %d here, measured just now, a network of %.4g Gbit/s each "
         "way, and\n"
         "    %.2g us for a message\n",
         p->cores, 8e-9 * p->problem.bandwidth, 1e6 * p->problem.message);
  if (p->mpi_assumed)
    printf("  MPI takes %.3g MB of a rank and %.2g MB for each other on its node, as Open MPI 4.1 "
           "does;\n"
           "    under mpirun the former is measured\n",
           1e-6 * (mpi_own + mpi_code), 1e-6 * mpi_peer);
  printf("  checkpoints are %s; no test or validation part\n", !p->problem.checkpoints ? "not made"
                                                               : p->dry                ? "made"
                                                                        : "made, as under gangrun");
}

static job_json *row_json(const planning *p, int i) {
  job_json *json = job_json_new();
  const als_plan *r = &p->row[i];
  if (!json) return NULL;
  job_json_int(json, "nodes", r->nodes);
  job_json_int(json, "ranks", p->row_layout[i].ranks);
  job_json_real(json, "memory_rank_own", r->own);
  job_json_real(json, "memory_rank_peak", r->seen);
  job_json_real(json, "memory_shared", r->shared);
  job_json_real(json, "memory_node", r->node);
  job_json_real(json, "memory_first_node", r->first_node);
  job_json_string(json, "memory_phase", phase_name[r->peak]);
  job_json_real(json, "exchange_users_need_bytes", r->need[ALS_USERS]);
  job_json_real(json, "exchange_users_all_bytes", r->all[ALS_USERS]);
  job_json_real(json, "exchange_items_need_bytes", r->need[ALS_ITEMS]);
  job_json_real(json, "exchange_items_all_bytes", r->all[ALS_ITEMS]);
  job_json_real(json, "exchange_bytes_per_iteration", r->rows_bytes);
  job_json_real(json, "gram_bytes_per_iteration", r->gram_bytes);
  job_json_real(json, "hand_off_bytes", r->hand_off_bytes);
  job_json_real(json, "seconds_solving", r->solve);
  job_json_real(json, "seconds_network", r->wire);
  job_json_real(json, "seconds_per_iteration", r->iteration);
  job_json_real(json, "seconds_begin", r->begin);
  return json;
}

static rdd_status report_json(const planning *p, const char *script, rdd_err *err) {
  job_json *json = p->j->result, *row[PLAN_ROWS] = {NULL};
  const als_plan *bound = last_worth(p);
  rdd_status st = RDD_OK;
  for (int i = 0; i < p->n && !st; i++)
    if (!(row[i] = row_json(p, i))) st = rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  if (st) goto done;
  job_json_int(json, "users", p->rows[ALS_USERS]);
  job_json_int(json, "items", p->rows[ALS_ITEMS]);
  job_json_int(json, "ratings", p->count);
  job_json_bool(json, "fits", p->fits);
  job_json_real(json, "node_memory", p->node_memory);
  job_json_real(json, "network_bytes_per_second", p->problem.bandwidth);
  job_json_int(json, "nodes", p->plan.nodes);
  job_json_int(json, "ranks", p->layout.ranks);
  job_json_int(json, "ranks_per_node", p->layout.ranks_per_node);
  job_json_int(json, "threads_per_rank", p->layout.threads);
  if (bound) job_json_int(json, "stops_paying_nodes", bound->nodes);
  job_json_objects(json, "layouts", (const job_json *const *)row, p->n);
  if (script) job_json_string(json, "script", script);
done:
  for (int i = 0; i < p->n; i++) job_json_free(row[i]);
  return st;
}

static rdd_status write_script(const char *path, const char *script, rdd_err *err) {
  job_output *output = NULL;
  rdd_status st = job_output_open(&output, path, err);
  if (st) return st;
  FILE *file = fopen(job_output_path(output), "w");
  bool ok = file && fputs(script, file) >= 0;
  if (file && fclose(file)) ok = false;
  if (ok) return job_output_commit(output, err);
  job_output_abandon(output);
  return rdd_set(err, RDD_EIO, "cannot write %s", path);
}

static rdd_status tell(const planning *p, rdd_err *err) {
  const char *path = job_string(p->args, "script");
  const als_params *params = &p->problem.params;
  if (!p->j->json) {
    printf("%s users x %s items, %s ratings; k = %d; %" PRId64 " rank%s x %d thread%s a node\n\n",
           job_count_text(p->rows[0]), job_count_text(p->rows[1]), job_count_text(p->count),
           params->rank, p->layout.ranks_per_node, p->layout.ranks_per_node == 1 ? "" : "s",
           p->layout.threads, p->layout.threads == 1 ? "" : "s");
    if (!p->dry) print_table(p);
    printf("%s%s, %" PRId64 " node%s, %" PRId64 " rank%s:\n", p->dry ? "" : "\n",
           p->dry           ? "here"
           : p->ranks_given ? "as asked"
                            : "the fewest that have the memory",
           p->plan.nodes, p->plan.nodes == 1 ? "" : "s", p->layout.ranks,
           p->layout.ranks == 1 ? "" : "s");
    print_memory(p);
    print_traffic(p);
    print_time(p);
    print_assumptions(p);
  }
  if (!p->fits && p->node_memory > 0)
    job_warn("%" PRId64 " ranks need %.4g GB on the first node, which has %.4g GB", p->layout.ranks,
             1e-9 * p->plan.first_node, 1e-9 * p->node_memory);
  if (p->dry) return p->j->json ? report_json(p, NULL, err) : RDD_OK;
  char *script = job_plan_script(p);
  rdd_status st = script ? RDD_OK : rdd_set(err, RDD_ENOMEM, "out of memory for the script");
  if (!st && path) st = write_script(path, script, err);
  if (!st && p->j->json) st = report_json(p, script, err);
  if (!st && path) job_say("%s: submit it with sbatch", path);
  if (!st && !path && !p->j->json) printf("\n%s", script);
  rdd_free(script);
  return st;
}

/* ---- The command ---- */

/* Rates of all cores at work, as they will be; threads of the job are those that are planned. */
static void use_cores(int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

/* What a process takes before it has ratings. */
static void weigh_process(planning *p, const job_memory_use *first) {
  p->mpi_assumed = !gang_under_launcher();
  p->problem.own_bytes = (double)(first->anonymous + first->shared) +
                         (p->mpi_assumed ? mpi_own : 0);
  p->problem.code_bytes = (double)first->files + (p->mpi_assumed ? mpi_code : 0);
  p->problem.peer_bytes = mpi_peer;
}

/* Rank 0's part, when the numbers of ratings are known. */
static rdd_status make_plan(planning *p, const job_memory_use *first, rdd_err *err) {
  int64_t planned = p->layout.ranks_per_node * p->layout.threads;
  weigh_process(p, first);
  rdd_status st = choose(p, err);
  if (st) return st;
  use_cores(planned < p->cores ? (int)planned : p->cores);
  st = job_plan_measure(p, err);
  use_cores(p->j->threads);
  if (st) return st;
  job_memory_use now = job_memory_now(); /* with all the code that a fit runs */
  p->problem.code_bytes += (double)(now.files - first->files);
  p->plan = plan_of(p, &p->layout);
  p->fits = p->plan.first_node <= p->node_memory;
  fill_table(p);
  return tell(p, err);
}

static void warn_of_rank(const planning *p) {
  static const char *const name[2] = {"users", "items"};
  for (int side = 0; side < 2; side++)
    if (p->problem.params.rank > p->rows[side])
      job_warn("--rank %d is more than the %" PRId64 " %s: further factors say nothing new",
               p->problem.params.rank, p->rows[side], name[side]);
}

/* Read what is asked, count, and tell. Collective. */
static rdd_status make(planning *p, rdd_err *err) {
  const job_args *args = p->args;
  job_memory_use first = job_memory_now();
  rdd_status st = rdd_agree(p->j->comm, read_request(p, err), err);
  if (st) goto done;
  const job_idle idle = job_params_idle(args);
  if (!p->dry) job_idle_warn(&idle);
  if (p->ratings) {
    job_input_opts in = job_input_options(p->j, args, false);
    st = job_input_open(p->j->comm, job_positional(args), job_positionals(args), &in, &p->input,
                        err);
    if (!st) job_say("%s", job_input_describe(p->input));
  }
  if (!st) st = job_plan_read(p, err);
  if (st) goto done;
  warn_of_rank(p);
  if (p->j->comm->rank == 0) st = make_plan(p, &first, err);
  st = rdd_agree(p->j->comm, st, err);
done:
  for (int side = 0; side < 2; side++) als_degrees_reset(&p->problem.side[side]);
  job_input_close(p->input);
  return st;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  planning p = {.j = j, .args = args, .options = train_options};
  return make(&p, err);
}

rdd_status job_plan_train(job *j, const job_args *args, bool checkpoints, rdd_err *err) {
  planning p = {.j = j, .args = args, .options = train_options, .dry = true};
  p.problem.checkpoints = checkpoints;
  return make(&p, err);
}

const job_command job_plan_fit = {
    .name = "plan",
    .summary = "predict memory, traffic and time of a fit; write its batch script",
    .usage = "RATINGS | --users N --items N --ratings N [OPTION]...",
    .example = "als plan --users 480189 --items 17770 --ratings 99000000 --node-memory 180G",
    .options = options,
    .daily = " users items ratings rank ranks ranks-per-node node-memory network script ",
    .positional_min = 0,
    .positional_max = 1,
    .run = run,
    .fits = true,
};
