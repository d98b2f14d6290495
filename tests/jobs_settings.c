/* Settings: what a file says, beside what is typed. */
#include "jobs/settings.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false, "where it goes"},
    {"rank", 0, JOB_INT, "K", "10", 1, 4096, false, "factors"},
    {"seed", 0, JOB_INT, "S", "0", 0, 0, false, "any integer"},
    {"reg-param", 0, JOB_REAL, "L", "0.1", 0, 1e30, false, "regularisation"},
    {"bias", 'b', JOB_FLAG, NULL, NULL, 0, 0, false, "biases too"},
    {"format", 0, JOB_CHOICE, "auto|csv|tsv", "auto", 0, 0, false, "input format"},
    {"config", 0, JOB_STRING, "FILE", NULL, 0, 0, false, "this file"},
    {"grid", 0, JOB_STRINGS, "SPEC", NULL, 0, 0, false, "several"},
    {0},
};

enum { MAX_WORDS = 16 };

/* A command line, then a settings file called "s". Free both. */
static rdd_status parse_with(job_args **out, job_settings **settings, char words[256],
                             const char *line, const char *text, bool lenient, rdd_err *err) {
  char *argv[MAX_WORDS];
  int argc = 0;
  snprintf(words, 256, "%s", line);
  for (char *w = strtok(words, " "); w && argc < MAX_WORDS; w = strtok(NULL, " ")) argv[argc++] = w;
  rdd_status st = job_args_read(out, options, argc, argv, err);
  if (!st) st = job_settings_parse("s", text, settings, err);
  if (!st) st = job_args_add_settings(*out, "s", (*settings)->list, (*settings)->n, lenient, err);
  return st;
}

static void settings_fill_what_is_open(void) {
  char words[256];
  rdd_err err = {0};
  job_args *args = NULL;
  job_settings *settings = NULL;
  const char *text = "# a comment\r\n\n  rank=7 # factors\r\nseed = 5\nbias = yes\n"
                     "output = \"a \"\"b\"\" # c \"  # quoted\ninput = in#1.csv\ninput = in 2.csv";
  if (!TK_OK(parse_with(&args, &settings, words, "--seed 6 --format tsv", text, false, &err), &err))
    goto done;
  TK_CHECK(job_int(args, "rank") == 7 && job_given(args, "rank") && !job_typed(args, "rank"));
  TK_CHECK(job_int(args, "seed") == 6 && job_typed(args, "seed"));
  TK_CHECK(job_flag(args, "bias"));
  TK_CHECK(!strcmp(job_string(args, "output"), "a \"b\" # c "));
  TK_CHECK(!strcmp(job_string(args, "format"), "tsv"));
  TK_CHECK(job_positionals(args) == 2);
  TK_CHECK(!strcmp(job_positional(args)[0], "in#1.csv") &&
           !strcmp(job_positional(args)[1], "in 2.csv"));
  TK_OK(job_args_complete(args, 1, 2, &err), &err);
done:
  job_args_free(args);
  job_settings_free(settings);
}

static void what_is_typed_wins(void) {
  char words[256];
  rdd_err err = {0};
  job_args *args = NULL;
  job_settings *settings = NULL;
  const char *text = "bias = yes\ninput = a\ninput = b\nnew-option = 3\nrank = 3\n";
  if (TK_OK(parse_with(&args, &settings, words, "--bias=no c", text, true, &err), &err)) {
    TK_CHECK(!job_flag(args, "bias") && !job_given(args, "bias"));
    TK_CHECK(job_positionals(args) == 1 && !strcmp(job_positional(args)[0], "c"));
    TK_CHECK(job_int(args, "rank") == 3);
  }
  job_args_free(args);
  job_settings_free(settings);
}

/* What is put is read back as it was, whatever is in it. */
static void settings_come_back(void) {
  char words[256], again[256], *text = NULL;
  size_t size = 0;
  rdd_err err = {0};
  job_args *args = NULL, *back = NULL;
  job_settings *settings = NULL, *same = NULL;
  const char *source = "rank = 012\nreg-param = 1e-3\nbias = yes\ninput = \"\"\"a\"\" \"\n"
                       "input = b #c\ninput = \"d #e\"\noutput = x\ngrid = a\ngrid = b\n";
  FILE *out = open_memstream(&text, &size);
  if (!TK_CHECK(out != NULL)) return;
  if (!TK_OK(parse_with(&args, &settings, words, "", source, false, &err), &err)) goto done;
  TK_CHECK(job_settings_put_inputs(out, args) && job_settings_put(out, options, args));
  fflush(out);
  TK_CHECK(!strstr(text, "output") && !strstr(text, "seed"));
  if (!TK_OK(parse_with(&back, &same, again, "", text, false, &err), &err)) goto done;
  TK_CHECK(job_positionals(back) == 3);
  for (int i = 0; i < 3 && i < job_positionals(back); i++)
    TK_CHECK(!strcmp(job_positional(back)[i], job_positional(args)[i]));
  TK_CHECK(!strcmp(job_positional(back)[0], "\"a\" ") && !strcmp(job_positional(back)[2], "d #e"));
  TK_CHECK(job_int(back, "rank") == 12 && job_real(back, "reg-param") == 1e-3);
  TK_CHECK(job_flag(back, "bias") && !job_given(back, "seed"));
  int n = 0;
  const char *const *grid = job_strings(back, "grid", &n);
  TK_CHECK(n == 2 && !strcmp(grid[0], "a") && !strcmp(grid[1], "b"));
done:
  fclose(out);
  free(text);
  job_args_free(args);
  job_args_free(back);
  job_settings_free(settings);
  job_settings_free(same);
}

static void line_breaks_are_not_settings(void) {
  rdd_err err = {0};
  job_args *args = NULL;
  char *argv[] = {"a\nb"};
  if (!TK_OK(job_args_read(&args, options, 1, argv, &err), &err)) return;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (TK_CHECK(out != NULL)) {
    TK_CHECK(!job_settings_put_inputs(out, args));
    fclose(out);
  }
  free(text);
  job_args_free(args);
}

static void settings_are_refused(void) {
  static const struct {
    const char *text, *message;
  } row[] = {
      {"rank = 3\n\nrnk = 3", "s:3: unknown setting 'rnk'; did you mean rank?"},
      {"colour = 3", "s:1: unknown setting 'colour'"},
      {"\nrank = 0", "s:2: rank 0 is out of range; expected 1 to 4096"},
      {"seed = x", "s:1: seed 'x' is not a whole number"}, /* though it is typed */
      {"bias = true", "s:1: bias 'true' is neither yes nor no"},
      {"rank = 3\nrank = 4", "s:2: rank is set a second time"},
      {"config = t", "s:1: unknown setting 'config'"},
      {"rank 3", "s:1: 'rank 3' is no setting; expected key = value"},
      {"= 3", "s:1: '= 3' is no setting; expected key = value"},
      {"rank =  # none", "s:1: rank has no value"},
      {"output = \"a", "s:1: the quotes of output do not end its value"},
      {"output = \"a\" b", "s:1: the quotes of output do not end its value"},
      {"output = \"a\"\"", "s:1: the quotes of output do not end its value"},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    char words[256];
    rdd_err err = {0};
    job_args *args = NULL;
    job_settings *settings = NULL;
    TK_CHECK(parse_with(&args, &settings, words, "--seed 1", row[i].text, false, &err) ==
             RDD_EUSAGE);
    bool same = !strcmp(err.message, row[i].message);
    if (!same) printf("# %s: %s\n", row[i].text, err.message);
    TK_CHECK(same);
    job_args_free(args);
    job_settings_free(settings);
  }
}

static void memory_runs_out(void) {
  rdd_status st = RDD_ENOMEM;
  int failures = 0;
  for (; st == RDD_ENOMEM && failures < 20; failures++) {
    char words[256];
    rdd_err err = {0};
    job_args *args = NULL;
    job_settings *settings = NULL;
    rdd_memory_fail_at(failures + 1);
    st = parse_with(&args, &settings, words, "-o a", "rank = 3\ngrid = x\ninput = y", false, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_ENOMEM || st == RDD_OK);
    job_args_free(args);
    job_settings_free(settings);
  }
  TK_CHECK(st == RDD_OK && failures > 5);
}

int main(void) {
  static const tk_case cases[] = {
      {"they fill what is open", settings_fill_what_is_open},
      {"what is typed wins", what_is_typed_wins},
      {"they come back as they were", settings_come_back},
      {"line breaks are not settings", line_breaks_are_not_settings},
      {"refusals and their messages", settings_are_refused},
      {"when memory is out", memory_runs_out},
  };
  return tk_main("jobs settings", cases, sizeof cases / sizeof *cases);
}
