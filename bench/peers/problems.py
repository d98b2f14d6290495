"""The three problems of bench/peers.sh: what is minimised, and how each system is told to minimise just that.

With r a rating, s = x_u . y_i, S the rated pairs, n_u and n_i the counts of ratings of a row:

  explicit        sum over S of (r - s)^2  +  L (sum n_u |x_u|^2 + sum n_i |y_i|^2)
  implicit        sum over all pairs of c (p - s)^2  +  L (sum |x_u|^2 + sum |y_i|^2)
  implicit-count  the same with n_u and n_i in the regularisation, as Spark always has it

where p = 1 and c = 1 + A r for rated pairs, p = 0 and c = 1 for all others. Ratings are above 0 and no pair
comes twice. What the systems call these, and what they do otherwise unless told:

  gangplank  --reg-param L, --reg-scaling count or none, --implicit-prefs, --alpha A
  Spark      regParam L, always times the count; implicitPrefs, alpha A
  cmfrec     CMF has biases, centring and an unscaled lambda by default: all set so that they agree;
             CMF_implicit has c = 1 + alpha r and an unscaled lambda, as they are wanted
  implicit   takes the value in the matrix, times its alpha, as the whole confidence c of a rated pair, so that
             alpha A would mean c = A r. The matrix it is given has 1 + A r, and its alpha is 1
  irspack    loss_type ORIGINAL has c = alpha0 + value for rated pairs and alpha0 for others, and reg times
             (alpha0 times the other side's rows + n_u)^nu: alpha0 1, values A r, nu 0

score.py computes these sums from the factors of each, and report.py says where they are apart. After 40 iterations
on a million ratings all are within 0.2 % of each other, with one exception: the conjugate gradients of cmfrec's
CMF_implicit begin with a residual that is not of the system that its Cholesky solves, and their objective stays 7 %
above, however many steps they make. Their time counts; their quality is theirs.
"""

EXPLICIT, IMPLICIT, IMPLICIT_COUNT = "explicit", "implicit", "implicit-count"
ALPHA = 1.0
LAMBDA = {EXPLICIT: 0.05, IMPLICIT: 10.0, IMPLICIT_COUNT: 0.05}
CG_STEPS = 3

# Who plays where, and with which solvers.
PEERS = {
    EXPLICIT: {"pyspark": ["cholesky"], "cmfrec": ["cholesky", "cg"]},
    IMPLICIT: {
        "implicit": ["cg", "cholesky"],
        "cmfrec": ["cg", "cholesky"],
        "irspack": ["cg", "cholesky"],
    },
    IMPLICIT_COUNT: {"pyspark": ["cholesky"]},
}


def options_of_als(problem, solver):
    """What als train is given."""
    options = ["--reg-param", str(LAMBDA[problem]), "--solver", solver]
    if solver == "cg":
        # No exact iteration in the end: the peers are told to make none, or know none.
        options += ["--cg-steps", str(CG_STEPS), "--final-exact", "no"]
    if problem != EXPLICIT:
        options += ["--implicit-prefs", "--alpha", str(ALPHA)]
    if problem == IMPLICIT:
        options += ["--reg-scaling", "none"]
    return options
