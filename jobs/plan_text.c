/* Amounts with units, and the batch script of `als plan`. */
#include "jobs/plan_impl.h"

#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Units ---- */

/* A number above 0 and, behind it, K, M, G, T or P, with an i for powers of 1024. */
static const char *read_amount(const char *text, double *out) {
  static const char unit[] = "KMGTP";
  char *end;
  *out = strtod(text, &end);
  if (end == text || !(*out > 0 && isfinite(*out))) return NULL;
  const char *at = *end ? strchr(unit, *end & ~32) : NULL;
  if (!at) return end;
  bool binary = end[1] == 'i';
  *out *= pow(binary ? 1024 : 1000, (double)(at - unit + 1));
  return end + 1 + binary;
}

rdd_status job_plan_bytes(const char *option, const char *text, double *out, rdd_err *err) {
  const char *rest = read_amount(text, out);
  if (rest && (!*rest || !strcmp(rest, "B"))) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE, "--%s '%s' is not a number of bytes such as 180G or 64GiB",
                 option, text);
}

rdd_status job_plan_bandwidth(const char *option, const char *text, double *out, rdd_err *err) {
  const char *rest = read_amount(text, out);
  bool bits = rest && !strncasecmp(rest, "bit", 3), bytes = rest && *rest == 'B';
  if (bits || bytes) rest += bits ? 3 : 1;
  if (bits) *out /= 8;
  if ((bits || bytes) && (!*rest || !strcmp(rest, "/s"))) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE, "--%s '%s' is not a bandwidth such as 100Gbit or 12GB (a second)",
                 option, text);
}

/* ---- The script ---- */

/* A word as a shell reads it back. */
static void put_word(FILE *out, const char *word) {
  bool plain = *word &&
               strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "-_./:=,+@%") == strlen(word);
  if (plain) {
    fputs(word, out);
    return;
  }
  fputc('\'', out);
  for (; *word; word++) fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, out);
  fputc('\'', out);
}

/* The options that were given and are als train's. */
static void put_options(FILE *out, const planning *p) {
  for (const job_option *o = p->options; o->name; o++) {
    if (!job_given(p->args, o->name)) continue;
    fprintf(out, " --%s", o->name);
    if (o->kind == JOB_FLAG) continue;
    fputc(' ', out);
    put_word(out, job_string(p->args, o->name));
  }
}

/* Twice what is predicted and ten minutes, in whole ones. */
static void put_time(FILE *out, double seconds) {
  int64_t minutes = (int64_t)fmin(ceil(2 * seconds / 60), 1e9) + 10;
  fprintf(out, "#SBATCH --time=%" PRId64 "-%02d:%02d:00\n", minutes / 1440,
          (int)(minutes % 1440 / 60), (int)(minutes % 60));
}

static void put_script(FILE *out, const planning *p) {
  const als_layout *l = &p->layout;
  const als_plan *plan = &p->plan;
  int64_t tasks = l->ranks < l->ranks_per_node ? l->ranks : l->ranks_per_node;
  double mib = ceil(1.1 * plan->first_node / 1048576);
  fprintf(out,
          "#!/bin/bash\n"
          "# Made by als plan: %.4g GB of memory on the first node, %.3g s an iteration. Submit it "
          "from a\n"
          "# folder that all nodes see. A crashed rank costs the work since the last checkpoint.\n"
          "#SBATCH --job-name=als\n"
          "#SBATCH --nodes=%" PRId64 "\n#SBATCH --ntasks=%" PRId64
          "\n#SBATCH --ntasks-per-node=%" PRId64 "\n#SBATCH --cpus-per-task=%d\n"
          "#SBATCH --mem=%.0fM\n",
          1e-9 * plan->first_node, plan->iteration, plan->nodes, l->ranks, tasks, l->threads, mib);
  put_time(out, plan->begin + plan->iteration * (1 + p->problem.params.max_iter));
  fputs("#SBATCH --output=%x-%j.out\n"
        "#SBATCH --requeue\n"
        "#SBATCH --open-mode=append\n\n"
        "ratings=${RATINGS:-",
        out);
  put_word(out, p->ratings ? p->ratings : "ratings.h5");
  fputs("}\nmodel=${MODEL:-model.h5}\n", out);
  fprintf(out, "export OMP_NUM_THREADS=%d%s\n", l->threads,
          l->threads > 1 ? " OMP_PLACES=cores OMP_PROC_BIND=close" : "");
  if (l->threads > 1)
    fprintf(out, "launcher=${LAUNCHER:-mpirun --map-by slot:PE=%d --bind-to core}\n", l->threads);
  else
    fputs("launcher=${LAUNCHER:-mpirun}\n", out);
  fputs("\n# shellcheck disable=SC2086 # the launcher is words\n"
        "gangrun $launcher als train \"$ratings\" -o \"$model\"",
        out);
  put_options(out, p);
  fputc('\n', out);
}

char *job_plan_script(const planning *p) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  put_script(out, p);
  bool ok = !ferror(out);
  ok = fclose(out) == 0 && ok;
  char *copy = ok ? rdd_strdup(text) : NULL;
  free(text);
  return copy;
}
