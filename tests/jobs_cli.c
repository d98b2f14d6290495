/* Command lines, JSON, and the texts that people see. */
#include "jobs/cli.h"
#include "jobs/job.h"
#include "jobs/json.h"
#include "jobs/ui.h"
#include "jobs/utf8.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Command lines ---- */

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where it goes"},
    {"rank", 0, JOB_INT, "K", "10", 1, 4096, false, "factors"},
    {"seed", 0, JOB_INT, "S", "0", 0, 0, false, "any integer"},
    {"reg-param", 0, JOB_REAL, "L", "0.1", 0, 1e30, false, "regularisation"},
    {"bias", 'b', JOB_FLAG, NULL, NULL, 0, 0, false, "biases too"},
    {"format", 0, JOB_CHOICE, "auto|csv|tsv", "auto", 0, 0, false, "input format"},
    {0},
};

enum { MAX_WORDS = 16 };

/* Parse one line of words between single blanks, where "_" stands for an empty word. `words` keeps
 * them: the result points there. */
static rdd_status parse(job_args **out, char words[256], const char *line, int least, int most,
                        rdd_err *err) {
  char *argv[MAX_WORDS];
  int argc = 0;
  snprintf(words, 256, "%s", line);
  for (char *w = strtok(words, " "); w && argc < MAX_WORDS; w = strtok(NULL, " "))
    argv[argc++] = strcmp(w, "_") ? w : strchr(w, '\0');
  return job_args_parse(out, options, least, most, argc, argv, err);
}

static void values(void) {
  char words[256];
  rdd_err err = {0};
  job_args *args = NULL;
  const char *line =
      "in.csv --output=out.h5 --rank 7 -b --seed -3 --reg-param=1e-3 --format tsv two";
  if (!TK_OK(parse(&args, words, line, 1, 2, &err), &err)) return;
  TK_CHECK(!strcmp(job_string(args, "output"), "out.h5"));
  TK_CHECK(job_int(args, "rank") == 7 && job_given(args, "rank"));
  TK_CHECK(job_int(args, "seed") == -3);
  TK_CHECK(job_real(args, "reg-param") == 1e-3);
  TK_CHECK(job_flag(args, "bias"));
  TK_CHECK(!strcmp(job_string(args, "format"), "tsv"));
  TK_CHECK(job_positionals(args) == 2);
  TK_CHECK(!strcmp(job_positional(args)[0], "in.csv") && !strcmp(job_positional(args)[1], "two"));
  job_args_free(args);
}

static void presets(void) {
  char words[256];
  rdd_err err = {0};
  job_args *args = NULL;
  if (!TK_OK(parse(&args, words, "-o x.h5", 0, 0, &err), &err)) return;
  TK_CHECK(job_int(args, "rank") == 10 && !job_given(args, "rank"));
  TK_CHECK(job_int(args, "seed") == 0);
  TK_CHECK(job_real(args, "reg-param") == 0.1);
  TK_CHECK(!job_flag(args, "bias") && !job_given(args, "bias"));
  TK_CHECK(!strcmp(job_string(args, "format"), "auto"));
  TK_CHECK(job_positionals(args) == 0);
  job_args_free(args);
}

/* What -o takes in each way of writing it, and where options end. */
static void forms(void) {
  static const struct {
    const char *line, *output;
    int positionals;
  } row[] = {
      {"-o a", "a", 0},
      {"-oa", "a", 0},
      {"-o=a", "a", 0},
      {"--output a", "a", 0},
      {"--output=a", "a", 0},
      {"--output=a=b", "a=b", 0},
      {"-o -b", "-b", 0},
      {"-o a -", "a", 1},
      {"-o a -- -b --rank", "a", 2},
      {"-o a -o last", "last", 0},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    char words[256];
    rdd_err err = {0};
    job_args *args = NULL;
    if (!TK_OK(parse(&args, words, row[i].line, 0, -1, &err), &err)) continue;
    TK_CHECK(!strcmp(job_string(args, "output"), row[i].output));
    TK_CHECK(job_positionals(args) == row[i].positionals);
    TK_CHECK(!job_flag(args, "bias"));
    job_args_free(args);
  }
}

static void refusals(void) {
  static const struct {
    const char *line, *message;
  } row[] = {
      {"x", "--output is missing"},
      {"-o a", "0 arguments given; expected at least 1"},
      {"-o a x y z", "unexpected argument 'z'"},
      {"-o", "--output wants a value: FILE"},
      {"-o _ x", "--output is empty"},
      {"-o a x --rank", "--rank wants a value: K"},
      {"-o a x --rank 0", "--rank 0 is out of range; expected 1 to 4096"},
      {"-o a x --rank 4097", "--rank 4097 is out of range; expected 1 to 4096"},
      {"-o a x --rank 1.5", "--rank '1.5' is not a whole number"},
      {"-o a x --rank _", "--rank '' is not a whole number"},
      {"-o a x --rank 99999999999999999999", "--rank '99999999999999999999' is not a whole number"},
      {"-o a x --reg-param -1e-9", "--reg-param -1e-9 is out of range; expected 0 to 1e+30"},
      {"-o a x --reg-param nan", "--reg-param 'nan' is not a number"},
      {"-o a x --reg-param inf", "--reg-param 'inf' is not a number"},
      {"-o a x --reg-param 0.1x", "--reg-param '0.1x' is not a number"},
      {"-o a x --bias=1", "--bias '1' is neither yes nor no"},
      {"-o a x --format cs", "--format 'cs' is none of auto|csv|tsv"},
      {"-o a x --format auto|csv", "--format 'auto|csv' is none of auto|csv|tsv"},
      {"-o a x --ranks 3", "unknown option --ranks; did you mean --rank?"},
      {"-o a x --regparam=3", "unknown option --regparam; did you mean --reg-param?"},
      {"-o a x --regParam 3", "unknown option --regParam; did you mean --reg-param?"},
      {"-o a x --REG_PARAM=3", "unknown option --REG_PARAM; did you mean --reg-param?"},
      {"-o a x --factors 3", "unknown option --factors; did you mean --rank?"},
      {"-o a x --iterations 3", "unknown option --iterations"}, /* has no such option */
      {"-o a x --colour", "unknown option --colour"},
      {"-o a x -z", "unknown option -z"},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    char words[256];
    rdd_err err = {0};
    job_args *args = NULL;
    TK_CHECK(parse(&args, words, row[i].line, 1, 2, &err) == RDD_EUSAGE);
    bool same = !strcmp(err.message, row[i].message);
    if (!same) printf("# %s: %s\n", row[i].line, err.message);
    TK_CHECK(same && !args);
  }
}

static void memory_runs_out(void) {
  rdd_status st = RDD_ENOMEM;
  int failures = 0;
  for (; st == RDD_ENOMEM && failures < 20; failures++) {
    char words[256];
    rdd_err err = {0};
    job_args *args = NULL;
    rdd_memory_fail_at(failures + 1);
    st = parse(&args, words, "-o a x", 1, 1, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_ENOMEM || st == RDD_OK);
    job_args_free(args);
  }
  TK_CHECK(st == RDD_OK && failures > 1);
}

static void help_shows_the_table(void) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!TK_CHECK(out != NULL)) return;
  job_options_print(out, options);
  fclose(out);
  TK_CHECK(strstr(text, "  -o, --output FILE         where it goes (required)\n") != NULL);
  TK_CHECK(strstr(text, "      --rank K              factors [10]\n") != NULL);
  TK_CHECK(strstr(text, "  -b, --bias                biases too\n") != NULL);
  TK_CHECK(strstr(text, "--format auto|csv|tsv") != NULL);
  free(text);
}

static void distances(void) {
  TK_CHECK(job_edit_distance("rank", "rank") == 0);
  TK_CHECK(job_edit_distance("ranks", "rank") == 1);
  TK_CHECK(job_edit_distance("trian", "train") == 2);
  TK_CHECK(job_edit_distance("", "seed") == 4);
  TK_CHECK(job_edit_distance("a-word-that-is-longer-than-any-option", "rank") == 32);
}

/* The options that --help names are there; config is of all commands. */
static void check_daily(const job_command *command) {
  char words[300], *rest = NULL;
  if (!command->daily) return;
  TK_CHECK(command->daily[0] == ' ' && command->daily[strlen(command->daily) - 1] == ' ');
  snprintf(words, sizeof words, "%s", command->daily);
  for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
    bool there = !strcmp(w, "config");
    for (const job_option *o = command->options; o->name; o++) there |= !strcmp(o->name, w);
    if (!TK_CHECK(there)) printf("# als %s has no --%s\n", command->name, w);
  }
}

/* The commands' own tables: each preset passes its own check, each name is there once. */
static void commands_have_sound_tables(void) {
  static const job_command *const command[] = {
      &job_generate,  &job_import, &job_split, &job_train,    &job_evaluate, &job_predict,
      &job_recommend, &job_info,   &job_tune,  &job_plan_fit, &job_report};
  for (size_t c = 0; c < sizeof command / sizeof *command; c++) {
    check_daily(command[c]);
    for (const job_option *o = command[c]->options; o->name; o++) {
      for (const job_option *p = o + 1; p->name; p++) TK_CHECK(strcmp(o->name, p->name) != 0);
      TK_CHECK(o->help && *o->help);
      TK_CHECK((o->metavar == NULL) == (o->kind == JOB_FLAG));
      if (!o->preset) continue;
      const job_option alone[] = {*o, {0}};
      rdd_err err = {0};
      job_args *args = NULL;
      TK_OK(job_args_parse(&args, alone, 0, 0, 0, NULL, &err), &err);
      job_args_free(args);
    }
    TK_CHECK(strncmp(command[c]->example, "als ", 4) == 0 ||
             strstr(command[c]->example, " als ") != NULL);
  }
}

static void exit_codes(void) {
  static const int code[] = {[RDD_OK] = 0,         [RDD_EUSAGE] = 2, [RDD_EDATA] = 65,
                             [RDD_ENOINPUT] = 66,  [RDD_EIO] = 74,   [RDD_ENOMEM] = 70,
                             [RDD_ESINGULAR] = 65, [RDD_ETASK] = 70, [RDD_EINTERNAL] = 70};
  for (int st = RDD_OK; st <= RDD_EINTERNAL; st++)
    TK_CHECK(job_exit_code((rdd_status)st) == code[st]);
}

/* ---- JSON ---- */

/* What it prints, without the newline; free with free(). */
static char *printed(const job_json *json) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  job_json_print(json, out);
  fclose(out);
  if (TK_CHECK(size > 0 && text[size - 1] == '\n')) text[size - 1] = '\0';
  return text;
}

static void check_printed(const job_json *json, const char *expected) {
  char *text = printed(json);
  bool same = text && !strcmp(text, expected);
  if (!same) printf("# printed:  %s\n# expected: %s\n", text ? text : "", expected);
  TK_CHECK(same);
  free(text);
}

static void json_values(void) {
  job_json *json = job_json_new();
  check_printed(json, "{}");
  job_json_int(json, "least", INT64_MIN);
  job_json_real(json, "tenth", 0.1);
  job_json_real(json, "nan", NAN);
  job_json_real(json, "infinite", -INFINITY);
  job_json_bool(json, "yes", true);
  job_json_reals(json, "none", NULL, 0);
  job_json_reals(json, "some", (const double[]){1, 2.5, NAN}, 3);
  check_printed(json, "{\"least\": -9223372036854775808, \"tenth\": 0.1, \"nan\": null, "
                      "\"infinite\": null, \"yes\": true, \"none\": [], \"some\": [1, 2.5, null]}");
  job_json_free(json);
}

static void json_text(void) {
  job_json *json = job_json_new();
  job_json_string(json, "a", "q\" b\\ n\n t\t \x01 \x7f");
  job_json_string(json, "b", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xac");
  job_json_string(json, "c", "x\xff\xc3(\xe2\x82");
  check_printed(json, "{\"a\": \"q\\\" b\\\\ n\\u000a t\\u0009 \\u0001 \x7f\", "
                      "\"b\": \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xac\", "
                      "\"c\": \"x\\ufffd\\ufffd(\\ufffd\\ufffd\"}");
  job_json_free(json);
}

static void json_numbers_round_trip(void) {
  static const double value[] = {
      1.0 / 3, 0.1 + 0.2,           1e-308, 4.9406564584124654e-324, 1.7976931348623157e308,
      -0.917,  123456789.123456789, 1e22};
  for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
    job_json *json = job_json_new();
    job_json_real(json, "x", value[i]);
    char *text = printed(json);
    TK_CHECK(text && !strncmp(text, "{\"x\": ", 6) && strtod(text + 6, NULL) == value[i]);
    free(text);
    job_json_free(json);
  }
}

/* Half an object must not look like a whole one. */
static void json_out_of_memory(void) {
  job_json *json = job_json_new();
  rdd_memory_fail_at(1);
  job_json_string(json, "a", "x");
  rdd_memory_fail_at(0);
  job_json_int(json, "b", 1);
  check_printed(json, "null");
  job_json_free(json);
  job_json_int(NULL, "a", 1);
  job_json_free(NULL);
}

static void utf8_lengths(void) {
  static const struct {
    const char *text;
    size_t length;
  } row[] = {
      {"a", 1},
      {"\xc3\xa9", 2},
      {"\xe2\x82\xac", 3},
      {"\xf0\x9f\x8e\xac", 4},
      {"", 0},
      {"\x80", 0}, /* a stray continuation */
      {"\xc3", 0}, /* cut off */
      {"\xc3(", 0},
      {"\xf0\x9f\x8e", 0},
      {"\xc0\xaf", 0}, /* overlong */
      {"\xe0\x80\xaf", 0},
      {"\xf0\x80\x80\xaf", 0},
      {"\xed\xa0\x80", 0},     /* a surrogate */
      {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
      {"\xff", 0},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++)
    TK_CHECK(job_utf8_length(row[i].text, strlen(row[i].text)) == row[i].length);
}

/* What is one JSON object, and what is not. */
static void json_checked(void) {
  static const char *const good[] = {
      "{}",
      " { \"a\" : [ ] , \"b\":{}}\n",
      "{\"a\": [1, -0.5, 0, 10e-3, 2E+7, true, false, null, \"\\u00e9\\n\\\"\"]}",
      "{\"a\": \"\xc3\xa9\"}",
      "{\"a\": [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}",
  };
  static const char *const bad[] = {
      "",
      "{",
      "[]",
      "{\"a\"}",
      "{\"a\": }",
      "{\"a\": 1,}",
      "{} {}",
      "{\"a\": 01}",
      "{\"a\": 1.}",
      "{\"a\": .5}",
      "{\"a\": -}",
      "{\"a\": 1e}",
      "{\"a\": nul}",
      "{\"a\": NaN}",
      "{\"a\": \"}",
      "{\"a\": \"\n\"}",
      "{a: 1}",
      "{\"a\": [1 2]}",
      "{\"a\": \"\\x\"}",
      "{\"a\": \"\\u12g4\"}",
      "{\"a\": \"\xff\"}",
      "{\"a\": \"\\",
      "{\"a\": [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) TK_CHECK(job_json_valid(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) TK_CHECK(!job_json_valid(bad[i]));
  job_json *json = job_json_new();
  job_json_strings(json, "words", (const char *const[]){"a\"", "\xff", ""}, 3);
  char *text = printed(json);
  TK_CHECK(text && job_json_valid(text));
  free(text);
  check_printed(json, "{\"words\": [\"a\\\"\", \"\\ufffd\", \"\"]}");
  job_json_free(json);
}

/* ---- Texts ---- */

static void counts_and_seconds(void) {
  static const struct {
    int64_t n;
    const char *text;
  } count[] = {{0, "0"},
               {999, "999"},
               {1000, "1,000"},
               {-1234567, "-1,234,567"},
               {100000000, "100,000,000"}};
  for (size_t i = 0; i < sizeof count / sizeof *count; i++)
    TK_CHECK(!strcmp(job_count_text(count[i].n), count[i].text));
  static const struct {
    double seconds;
    const char *text;
  } span[] = {{0.4249, "0.42 s"},
              {9.5, "9.50 s"},
              {12.4, "12 s"},
              {65, "1 min 05 s"},
              {7800, "2 h 10 min"}};
  for (size_t i = 0; i < sizeof span / sizeof *span; i++)
    TK_CHECK(!strcmp(job_seconds_text(span[i].seconds), span[i].text));
  char line[120];
  snprintf(line, sizeof line, "%s %s %s %s", job_count_text(1), job_count_text(2),
           job_seconds_text(3), job_count_text(4));
  TK_CHECK(!strcmp(line, "1 2 3.00 s 4"));
}

int main(void) {
  static const tk_case cases[] = {
      {"values by name", values},
      {"presets", presets},
      {"ways to write an option", forms},
      {"refusals and their messages", refusals},
      {"a command line when memory is out", memory_runs_out},
      {"help is the table", help_shows_the_table},
      {"distance of words", distances},
      {"tables of the commands", commands_have_sound_tables},
      {"exit codes", exit_codes},
      {"JSON values", json_values},
      {"JSON text", json_text},
      {"JSON numbers round-trip", json_numbers_round_trip},
      {"JSON, checked", json_checked},
      {"JSON when memory is out", json_out_of_memory},
      {"UTF-8", utf8_lengths},
      {"counts and seconds for people", counts_and_seconds},
  };
  return tk_main("jobs cli", cases, sizeof cases / sizeof *cases);
}
