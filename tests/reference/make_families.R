# Reference results for families, links, offsets and prior weights: glmmTMB, lme4, MASS, nlme, and base R where no program has the model.
# Debian: apt-get install r-base-core r-cran-lme4 r-cran-glmmtmb r-cran-mgcv r-cran-mass r-cran-nlme r-cran-numderiv r-cran-jsonlite
# Run from this folder: Rscript make_families.R   (writes families.json here, and bacteria.csv and pastes.csv in ../data)
suppressPackageStartupMessages({library(lme4); library(nlme); library(mgcv); library(MASS); library(glmmTMB); library(jsonlite)})
invisible(Sys.setlocale("LC_COLLATE", "C"))
packages <- c("lme4", "glmmTMB", "TMB", "MASS", "nlme", "mgcv", "numDeriv")
out <- list(versions = c(R = R.version.string, sapply(packages, function(p) as.character(packageVersion(p)))))
out$versions <- as.list(out$versions)

# ---- Data ----
epil <- MASS::epil; epil$subject <- factor(epil$subject)
bacteria <- with(MASS::bacteria, data.frame(y = as.numeric(y == "y"), week = week, id = ID, trt = trt))
write.csv(bacteria, "../data/bacteria.csv", row.names=FALSE, quote=FALSE)
pastes <- Pastes[c("batch", "cask", "sample", "strength")]
write.csv(pastes, "../data/pastes.csv", row.names=FALSE, quote=FALSE)
sleep <- sleepstudy; sleep$Seconds <- sleep$Reaction / 1000
epil$weight <- 1 + seq_len(nrow(epil)) %% 3
sleep$weight <- 1 + seq_len(nrow(sleep)) %% 3
columns <- function(d) lapply(d, function(v) if (is.factor(v)) as.character(v) else v)
out$recipes <- list(bacteria = "bacteria.csv; trt in the order placebo, drug, drug+", epil = "weight = 1 + (row modulo 3), row counted from 1", sleepstudy = "Seconds = Reaction / 1000; weight = 1 + (row modulo 3), row counted from 1")

# ---- Families and links: log-likelihood, and its first and second derivative in mu; mu, and its derivatives in eta ----
families <- list(
  poisson = list(l = function(y, mu, k, m) dpois(y, mu, log = TRUE), d1 = function(y, mu, k, m) y / mu - 1, d2 = function(y, mu, k, m) -y / mu^2),
  negative_binomial = list(l = function(y, mu, k, m) dnbinom(y, size = k, mu = mu, log = TRUE),
    d1 = function(y, mu, k, m) y / mu - (y + k) / (mu + k), d2 = function(y, mu, k, m) -y / mu^2 + (y + k) / (mu + k)^2, shape = "size"),
  gamma = list(l = function(y, mu, k, m) dgamma(y, shape = k, scale = mu / k, log = TRUE),
    d1 = function(y, mu, k, m) k * (y - mu) / mu^2, d2 = function(y, mu, k, m) k * (mu - 2 * y) / mu^3, shape = "shape"),
  inverse_gaussian = list(l = function(y, mu, k, m) 0.5 * log(k / (2 * pi * y^3)) - k * (y - mu)^2 / (2 * mu^2 * y),
    d1 = function(y, mu, k, m) k * (y - mu) / mu^3, d2 = function(y, mu, k, m) k * (2 * mu - 3 * y) / mu^4, shape = "lambda"),
  binomial = list(l = function(y, mu, k, m) dbinom(y, m, mu, log = TRUE),
    d1 = function(y, mu, k, m) y / mu - (m - y) / (1 - mu), d2 = function(y, mu, k, m) -y / mu^2 - (m - y) / (1 - mu)^2))
links <- list(
  log = list(mu = exp, d1 = exp, d2 = exp),
  inverse = list(mu = function(x) 1 / x, d1 = function(x) -1 / x^2, d2 = function(x) 2 / x^3),
  logit = list(mu = plogis, d1 = function(x) dlogis(x), d2 = function(x) dlogis(x) * (1 - 2 * plogis(x))),
  probit = list(mu = pnorm, d1 = dnorm, d2 = function(x) -x * dnorm(x)),
  cloglog = list(mu = function(x) -expm1(-exp(x)), d1 = function(x) exp(x - exp(x)), d2 = function(x) exp(x - exp(x)) * (1 - exp(x))))
out$parameters <- list(
  size = "NB2: Var(y) = mu + mu^2 / size", shape = "Gamma: Var(y) = mu^2 / shape, so that the dispersion is 1 / shape", lambda = "inverse Gaussian: Var(y) = mu^3 / lambda, so that the dispersion is 1 / lambda",
  inverse = "link eta = 1 / mu, for the inverse Gaussian too (whose natural link is 1 / mu^2)",
  beta = "in the order of the columns that R makes: treatment contrasts against the first level, which is placebo for epil and for bacteria (whose levels are placebo, drug, drug+)",
  se = "from the inverse of the observed information of all parameters together: beta, log(size, shape or lambda), variance parameters",
  se_given_variance = "from the information of beta alone, the other parameters held; both are second derivatives of the approximated log-likelihood",
  sd = "standard deviations of the random effects, in the order of the terms and of the effects in a term", max_gradient = "largest derivative of the log-likelihood at the estimates, in beta, logarithms of sd (or Cholesky factor) and of size, shape or lambda; for lmer in theta",
  modes = "conditional modes by label; for intercept and slope in this order", df = "parameters counted by logLik")

# ---- Base R: a model y ~ f(mu, k), g(mu) = X beta + offset + sum of Z Lambda u, u ~ N(0, I). Parameters: beta, Cholesky factors by row (the last entry as log, the others relative to it), log k ----
model <- function(y, X, family, link, random = list(), offset = 0, trials = 1, weights = 1) {
  f <- families[[family]]; g <- links[[link]]; p <- ncol(X); has_shape <- !is.null(f$shape)
  sizes <- vapply(random, function(r) length(r), 0L)
  unpack <- function(par) {
    at <- p; cols <- list(); L <- list()
    for (j in seq_along(random)) {
      n <- sizes[j]; L[[j]] <- matrix(0, n, n)
      for (r in seq_len(n)) { L[[j]][r, seq_len(r)] <- c(par[at + seq_len(r - 1)], 1) * exp(par[at + r]); at <- at + r }
      for (c in seq_len(n)) cols[[length(cols) + 1]] <- Reduce(`+`, lapply(seq_len(n), function(r) random[[j]][[r]] * L[[j]][r, c]))
    }
    list(beta = par[seq_len(p)], L = L, Z = if (length(cols)) do.call(cbind, cols) else matrix(0, length(y), 0), k = if (has_shape) exp(par[at + 1]) else 1)
  }
  rows <- function(eta, k) { inside <- link != "inverse" | eta > 0; l <- rep(-Inf, length(eta)); mu <- g$mu(eta[inside]); m <- rep_len(trials, length(y))
    l[inside] <- rep_len(weights, length(y))[inside] * f$l(y[inside], mu, k, m[inside]); l }
  slopes <- function(eta, k) { mu <- g$mu(eta); d <- g$d1(eta); s <- f$d1(y, mu, k, trials)
    list(d1 = weights * s * d, w = -weights * (f$d2(y, mu, k, trials) * d^2 + s * g$d2(eta))) }
  last <- NULL
  mode <- function(q, start = last) {  # Newton's method with step halving, to the last digits
    fixed <- c(X %*% q$beta) + offset; u <- if (length(start) == ncol(q$Z)) start else numeric(ncol(q$Z))
    value <- function(u) sum(rows(fixed + c(q$Z %*% u), q$k)) - sum(u^2) / 2
    if (!is.finite(value(u))) u <- 0 * u
    if (!is.finite(value(u))) return(NULL)
    extra <- 0
    for (i in 1:200) {
      s <- slopes(fixed + c(q$Z %*% u), q$k); H <- crossprod(q$Z, s$w * q$Z) + diag(ncol(q$Z)); grad <- c(crossprod(q$Z, s$d1)) - u
      R <- tryCatch(chol(H), error = function(e) chol(crossprod(q$Z, pmax(s$w, 0) * q$Z) + diag(ncol(q$Z))))
      step <- backsolve(R, forwardsolve(t(R), grad)); a <- 1; old <- value(u)
      while (!isTRUE(value(u + a * step) >= old - 1e-12 * abs(old)) && a > 1e-10) a <- a / 2
      u <- u + a * step
      if (max(abs(step)) < 1e-8) { extra <- extra + 1; if (extra == 2) break }
    }
    last <<- u
    eta <- fixed + c(q$Z %*% u); s <- slopes(eta, q$k)
    list(u = u, eta = eta, fixed = fixed, value = value(u), H = crossprod(q$Z, s$w * q$Z) + diag(ncol(q$Z)), gradient = max(abs(c(crossprod(q$Z, s$d1)) - u)))
  }
  laplace <- function(par) {
    q <- unpack(par)
    if (ncol(q$Z) == 0) return(sum(rows(c(X %*% q$beta) + offset, q$k)))
    m <- mode(q); if (is.null(m)) return(-Inf)
    m$value - sum(log(diag(chol(m$H))))
  }
  # one scalar effect for each group: the integral over it, group by group
  exact <- function(par, rule = "integrate") {
    q <- unpack(par); m <- mode(q); if (is.null(m)) return(-Inf)
    sum(vapply(seq_along(m$u), function(i) {
      mine <- which(q$Z[, i] != 0); sd <- q$Z[mine[1], i]; s <- 1 / sqrt(m$H[i, i])
      w <- rep_len(weights, length(y))[mine]; trial <- rep_len(trials, length(y))[mine]
      log_f <- function(t) { x <- outer(m$fixed[mine], sd * (m$u[i] + s * t), "+"); l <- matrix(f$l(y[mine], g$mu(x), q$k, trial), length(mine)); colSums(w * l) + dnorm(m$u[i] + s * t, log = TRUE) }
      top <- log_f(0); h <- function(t) exp(log_f(t) - top); high <- 9 / s + 9; low <- -high
      if (link == "inverse") low <- max(low, (-min(m$fixed[mine]) / sd - m$u[i]) / s)  # there the smallest eta is 0
      area <- if (rule == "Gauss") { low <- max(low, -30); high <- min(high, 30); (high - low) / 2 * sum(gauss$weights * h((low + high) / 2 + (high - low) / 2 * gauss$nodes)) } else {
        cuts <- c(low, Filter(function(c) c > low, c(-6, -2, 0, 2, 6)), high)
        sum(mapply(function(from, to) integrate(h, from, to, rel.tol = 1e-12, subdivisions = 2000, stop.on.error = FALSE)$value, head(cuts, -1), cuts[-1])) }
      top + log(s * area)
    }, 0))
  }
  list(laplace = laplace, exact = exact, exact_gauss = function(par) exact(par, "Gauss"), unpack = unpack, mode = mode, p = p, shape = f$shape, X = X)
}
gauss <- local({ i <- 1:399; J <- matrix(0, 400, 400); J[cbind(i, i + 1)] <- J[cbind(i + 1, i)] <- i / sqrt(4 * i^2 - 1); v <- eigen(J, symmetric = TRUE)
  list(nodes = v$values, weights = 2 * v$vectors[1, ]^2) })  # Gauss-Legendre on [-1, 1]
levels_of <- function(g) { g <- factor(g); Z <- sapply(levels(g), function(l) as.numeric(g == l)); colnames(Z) <- levels(g); Z }
newton <- function(fn, par, steps = 6) {  # towards a gradient of zero
  for (i in seq_len(steps)) { g <- numDeriv::grad(fn, par); if (max(abs(g)) < 1e-8) break
    H <- numDeriv::hessian(fn, par); par <- par - solve(H, g) }
  list(par = par, gradient = max(abs(numDeriv::grad(fn, par))), information = -numDeriv::hessian(fn, par), value = fn(par))
}
maximize <- function(fn, start) {
  o <- nlminb(start, function(p) -fn(p), control = list(iter.max = 1000, eval.max = 2000, rel.tol = 1e-13))
  newton(fn, o$par)
}
errors <- function(information, p) { i <- seq_len(p)
  list(se = sqrt(diag(solve(information)))[i], se_given_variance = sqrt(diag(solve(information[i, i, drop = FALSE])))) }
describe <- function(m, o, labels = NULL) {  # what a maximum by base R is
  q <- m$unpack(o$par); r <- list(loglik = o$value, beta = unname(q$beta)); r <- c(r, errors(o$information, m$p))
  if (length(q$L)) { C <- lapply(q$L, tcrossprod); r$sd <- unlist(lapply(C, function(v) sqrt(diag(v)))); cor <- unlist(lapply(C, function(v) cov2cor(v)[lower.tri(v)])); if (length(cor)) r$cor <- cor }
  if (!is.null(m$shape)) r[[m$shape]] <- q$k
  if (!is.null(labels)) { md <- m$mode(q); L <- q$L[[1]]; B <- matrix(md$u[seq_len(length(labels) * nrow(L))], ncol = nrow(L)) %*% t(L)
    r$modes <- setNames(lapply(seq_along(labels), function(i) B[i, ]), labels) }
  r$df <- length(o$par); r$max_gradient <- o$gradient; r
}

# ---- glmmTMB, driven to a gradient of zero by Newton's method ----
control <- glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4, rel.tol = 1e-14, x.tol = 1e-14))
text_of <- function(call) gsub("\\s+", " ", paste(deparse(call, width.cutoff = 500), collapse = " "))
tighten <- function(m) {
  o <- m$obj; par <- m$fit$par
  for (i in 1:8) { g <- c(o$gr(par)); if (max(abs(g)) < 1e-10) break
    H <- numDeriv::jacobian(function(p) c(o$gr(p)), par); par <- par - solve((H + t(H)) / 2, g) }
  value <- o$fn(par); full <- o$env$last.par; gradient <- max(abs(o$gr(par)))
  H <- numDeriv::jacobian(function(p) c(o$gr(p)), par)
  list(par = par, loglik = -as.numeric(value), full = full, gradient = gradient, information = unname((H + t(H)) / 2), report = o$report(full))
}
tmb <- function(key, call, shape = NULL, check = NULL, note = NULL) {
  m <- suppressWarnings(eval(call)); t <- tighten(m); p <- sum(names(t$par) == "beta")
  r <- c(list(software = "glmmTMB", call = text_of(call), loglik = t$loglik, beta = unname(t$par[seq_len(p)]), names = names(fixef(m)$cond)), errors(t$information, p))
  r$sd <- unlist(t$report$sd); cor <- unlist(lapply(t$report$corr, function(v) v[lower.tri(v)])); if (length(cor)) r$cor <- cor
  disp <- if ("betad" %in% names(t$par)) exp(unname(t$par["betad"]))
  if (!is.null(shape)) r[[shape]] <- disp
  flist <- m$modelInfo$reTrms$cond$flist; blocks <- m$modelInfo$reStruc$condReStruc; bs <- unname(t$full[names(t$full) == "b"]); at <- 0
  r$modes <- list(); assign <- attr(flist, "assign")
  for (j in seq_along(blocks)) { n <- blocks[[j]]$blockSize; L <- levels(flist[[assign[j]]]); B <- matrix(bs[at + seq_len(n * length(L))], nrow = n); at <- at + n * length(L)
    r$modes[[names(flist)[assign[j]]]] <- setNames(lapply(seq_along(L), function(i) B[, i]), L) }
  r$df <- attr(logLik(m), "df"); r$max_gradient <- t$gradient; if (!is.null(note)) r$note <- note
  if (!is.null(check)) {  # the same log-likelihood at the same parameters, by base R
    cholesky <- unlist(lapply(seq_along(t$report$sd), function(j) { s <- t$report$sd[[j]]; C <- t$report$corr[[j]]; L <- t(chol(diag(s, length(s)) %*% C %*% diag(s, length(s))))
      unlist(lapply(seq_len(nrow(L)), function(i) c(L[i, seq_len(i - 1)] / L[i, i], log(L[i, i])))) }))
    r$loglik_base_R <- check$laplace(c(r$beta, cholesky, if (!is.null(shape)) log(r[[shape]])))
    cat(sprintf("%-28s %.9f  base R %+.1e  gradient %.1e\n", key, r$loglik, r$loglik_base_R - r$loglik, r$max_gradient)) }
  else cat(sprintf("%-28s %.9f  gradient %.1e\n", key, r$loglik, r$max_gradient))
  out[[key]] <<- r; invisible(m)
}

# ---- lme4 ----
glmer_control <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-10, maxfun = 1e6), tolPwrss = 1e-12, check.conv.singular = "ignore")
lmer_control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5), calc.derivs = FALSE)
lme4_results <- function(m) {
  v <- as.data.frame(VarCorr(m)); v <- v[v$grp != "Residual", ]; cor <- v$sdcor[!is.na(v$var2)]
  r <- list(beta = unname(fixef(m)), se = unname(sqrt(diag(as.matrix(vcov(m))))), sd = v$sdcor[is.na(v$var2)])
  if (length(cor)) r$cor <- cor
  r$theta <- unname(getME(m, "theta")); r$modes <- lapply(ranef(m, condVar = FALSE), function(d) setNames(lapply(seq_len(nrow(d)), function(i) unname(unlist(d[i, ]))), rownames(d)))
  r$df <- attr(logLik(m), "df"); r
}

# ---- 1. Negative binomial ----
cat("negative binomial\n")
subjects <- levels_of(epil$subject); X <- model.matrix(~ lbase + trt, epil)
tmb("epil_nb2", quote(glmmTMB(y ~ lbase + trt + (1 | subject), data = epil, family = nbinom2, control = control)), "size",
  model(epil$y, X, "negative_binomial", "log", list(list(subjects))))
tmb("epil_nb2_offset", quote(glmmTMB(y ~ trt + offset(log(base / 4)) + (1 | subject), data = epil, family = nbinom2, control = control)), "size",
  model(epil$y, model.matrix(~ trt, epil), "negative_binomial", "log", list(list(subjects)), offset = log(epil$base / 4)))
tmb("epil_nb2_weights", quote(glmmTMB(y ~ lbase + trt + (1 | subject), data = epil, family = nbinom2, weights = weight, control = control)), "size",
  model(epil$y, X, "negative_binomial", "log", list(list(subjects)), weights = epil$weight), note = "a weight multiplies the log-likelihood of its row")
tmb("epil_poisson", quote(glmmTMB(y ~ lbase + trt + (1 | subject), data = epil, family = poisson, control = control)), NULL, model(epil$y, X, "poisson", "log", list(list(subjects))))
tmb("epil_poisson_weights", quote(glmmTMB(y ~ lbase + trt + (1 | subject), data = epil, family = poisson, weights = weight, control = control)), NULL,
  model(epil$y, X, "poisson", "log", list(list(subjects)), weights = epil$weight), note = "a weight multiplies the log-likelihood of its row")
set.seed(11)
slopes <- local({ g <- rep(1:24, each = 10); x <- rep(seq(-1, 1, length.out = 10), 24); S <- chol(matrix(c(0.36, 0.12, 0.12, 0.16), 2)); B <- matrix(rnorm(48), 24) %*% S
  data.frame(g = factor(sprintf("g%02d", g)), x = round(x, 6), y = rnbinom(240, size = 3, mu = exp(1.2 + 0.5 * x + B[g, 1] + B[g, 2] * x))) })
out$slopes <- columns(slopes); Zs <- levels_of(slopes$g)
tmb("slopes_nb2", quote(glmmTMB(y ~ x + (x | g), data = slopes, family = nbinom2, control = control)), "size",
  model(slopes$y, model.matrix(~ x, slopes), "negative_binomial", "log", list(list(Zs, Zs * slopes$x))))
crossed <- local({ a <- rep(1:20, times = 12); b <- rep(1:12, each = 20); keep <- sort(sample(240, 180)); x <- round(rnorm(240), 4); u <- 0.5 * rnorm(20); v <- 0.7 * rnorm(12)
  data.frame(a = factor(sprintf("a%02d", a)), b = factor(sprintf("b%02d", b)), x = x, y = rnbinom(240, size = 2, mu = exp(1 + 0.4 * x + u[a] + v[b])))[keep, ] })
out$crossed <- columns(crossed)
tmb("crossed_nb2", quote(glmmTMB(y ~ x + (1 | a) + (1 | b), data = crossed, family = nbinom2, control = control)), "size",
  model(crossed$y, model.matrix(~ x, crossed), "negative_binomial", "log", list(list(levels_of(crossed$a)), list(levels_of(crossed$b)))))
under <- local({ g <- rep(1:15, each = 8); x <- rep(seq(-1, 1, length.out = 8), 15); u <- 0.6 * rnorm(15)
  data.frame(g = factor(sprintf("g%02d", g)), x = round(x, 6), y = rbinom(120, 10, plogis(0.3 + 0.4 * x + u[g]))) })
out$under <- columns(under)
tmb("under_poisson", quote(glmmTMB(y ~ x + (1 | g), data = under, family = poisson, control = control)), NULL, model(under$y, model.matrix(~ x, under), "poisson", "log", list(list(levels_of(under$g)))))
local({ m <- suppressWarnings(glmmTMB(y ~ x + (1 | g), data = under, family = nbinom2, control = control)); f <- model(under$y, model.matrix(~ x, under), "negative_binomial", "log", list(list(levels_of(under$g))))
  at <- c(out$under_poisson$beta, log(out$under_poisson$sd)); sizes <- 10^c(1, 2, 3, 4, 6, 8)
  out$under_nb2 <<- list(software = "glmmTMB", call = "glmmTMB(y ~ x + (1 | g), data = under, family = nbinom2, control = control)", size_where_it_stopped = sigma(m), loglik_where_it_stopped = -m$obj$fn(m$fit$par)[1],
    loglik_poisson = out$under_poisson$loglik, sizes = sizes, loglik_at_sizes = vapply(sizes, function(s) f$laplace(c(at, log(s))), 0),
    note = "the counts vary less than Poisson's: the log-likelihood rises with size, to that of the Poisson model; loglik_at_sizes by base R with beta and sd of under_poisson") })

# ---- 2. Gamma, and binomial links with a random intercept ----
cat("gamma\n")
drivers <- levels_of(sleep$Subject); D <- model.matrix(~ Days, sleep)
tmb("sleep_gamma", quote(glmmTMB(Reaction ~ Days + (1 | Subject), data = sleep, family = Gamma("log"), control = control)), "shape", model(sleep$Reaction, D, "gamma", "log", list(list(drivers))))
tmb("sleep_gamma_slope", quote(glmmTMB(Reaction ~ Days + (Days | Subject), data = sleep, family = Gamma("log"), control = control)), "shape",
  model(sleep$Reaction, D, "gamma", "log", list(list(drivers, drivers * sleep$Days))))
tmb("sleep_gamma_inverse", quote(glmmTMB(Seconds ~ Days + (1 | Subject), data = sleep, family = Gamma("inverse"), control = control)), "shape",
  model(sleep$Seconds, D, "gamma", "inverse", list(list(drivers))))
tmb("sleep_gamma_weights", quote(glmmTMB(Reaction ~ Days + (1 | Subject), data = sleep, family = Gamma("log"), weights = weight, control = control)), "shape",
  model(sleep$Reaction, D, "gamma", "log", list(list(drivers)), weights = sleep$weight), note = "a weight multiplies the log-likelihood of its row; it does not divide the dispersion, as a weight in glm and glmer does")
tmb("sleep_gamma_offset", quote(glmmTMB(Reaction ~ Days + offset(log(1 + Days / 100)) + (1 | Subject), data = sleep, family = Gamma("log"), control = control)), "shape",
  model(sleep$Reaction, D, "gamma", "log", list(list(drivers)), offset = log(1 + sleep$Days / 100)))
cat("inverse Gaussian, base R\n")
base_laplace <- function(key, call, m, start, labels) { o <- maximize(m$laplace, start); r <- describe(m, o, labels); out[[key]] <<- c(list(software = "base R, Laplace", call = call), r)
  cat(sprintf("%-28s %.9f  gradient %.1e\n", key, r$loglik, r$max_gradient)) }
base_laplace("sleep_ig", "Reaction ~ Days + (1 | Subject), inverse Gaussian, log", model(sleep$Reaction, D, "inverse_gaussian", "log", list(list(drivers))), c(5.53, 0.034, log(0.12), log(3e4)), colnames(drivers))
base_laplace("sleep_ig_slope", "Reaction ~ Days + (Days | Subject), inverse Gaussian, log", model(sleep$Reaction, D, "inverse_gaussian", "log", list(list(drivers, drivers * sleep$Days))),
  c(5.53, 0.034, log(0.1), 0.1, log(0.02), log(3e4)), colnames(drivers))
base_laplace("sleep_ig_inverse", "Seconds ~ Days + (1 | Subject), inverse Gaussian, inverse", model(sleep$Seconds, D, "inverse_gaussian", "inverse", list(list(drivers))), c(3.95, -0.11, log(0.45), log(30)), colnames(drivers))
cat("binomial\n")
data(cbpp); out$cbpp <- columns(cbpp); herds <- levels_of(cbpp$herd); P <- model.matrix(~ period, cbpp); T <- model.matrix(~ trt + week, bacteria); children <- levels_of(bacteria$id)
for (link in c("logit", "probit", "cloglog")) {
  tmb(paste0("bacteria_", link), bquote(glmmTMB(y ~ trt + week + (1 | id), data = bacteria, family = binomial(.(link)), control = control)), NULL, model(bacteria$y, T, "binomial", link, list(list(children))))
  m <- model(cbpp$incidence, P, "binomial", link, list(list(herds)), trials = cbpp$size); key <- paste0("cbpp_", link)
  tmb(paste0("cbpp_", link), bquote(glmmTMB(cbind(incidence, size - incidence) ~ period + (1 | herd), data = cbpp, family = binomial(.(link)), control = control)), NULL, m)
  for (nodes in c(1, 9, 25)) {
    call <- bquote(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), data = cbpp, family = binomial(.(link)), nAGQ = .(nodes), control = glmer_control)); g <- eval(call)
    out[[paste0(key, "_lme4_", nodes)]] <- c(list(software = "lme4", call = text_of(call), loglik = as.numeric(logLik(g))), lme4_results(g))
    if (nodes > 1) out[[paste0(key, "_lme4_", nodes)]]$note <- "with nAGQ > 1 lme4's loglik leaves out that of the saturated model, so it is higher by a constant; the whole one is in the entry _exact"
  }
  # lme4's Laplace has the expected second derivative where TMB's has the observed one: the same for logit alone
  g <- eval(bquote(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), data = cbpp, family = binomial(.(link)), control = glmer_control)))
  q <- m$unpack(c(fixef(g), log(getME(g, "theta")))); at <- m$mode(q); mu <- links[[link]]$mu(at$eta); w <- cbpp$size * links[[link]]$d1(at$eta)^2 / (mu * (1 - mu))
  out[[paste0(key, "_lme4_1")]]$why <- list(loglik_with_expected_derivative = at$value - sum(log(1 + colSums(w * q$Z^2))) / 2, loglik_with_observed_derivative = m$laplace(c(fixef(g), log(getME(g, "theta")))),
    note = "at lme4's estimates, by base R: its Laplace approximation has the expected second derivative, that of glmmTMB the observed one; with the logit they are one")
  o <- maximize(m$exact_gauss, c(fixef(g), log(getME(g, "theta"))))
  out[[paste0(key, "_exact")]] <- c(list(software = "base R, integrals by groups", call = paste("incidence of size ~ period + (1 | herd), binomial,", link)), describe(m, o), list(loglik_integrate = m$exact(o$par)))
}

# ---- What glmer does with a dispersion ----
cat("glmer with a dispersion\n")
for (case in list(list("sleep_gamma_lme4", Gamma("log"), "Reaction", "gamma", "log"), list("sleep_gamma_inverse_lme4", Gamma("inverse"), "Seconds", "gamma", "inverse"),
                  list("sleep_ig_lme4", inverse.gaussian("log"), "Reaction", "inverse_gaussian", "log"), list("sleep_ig_inverse_lme4", inverse.gaussian("inverse"), "Seconds", "inverse_gaussian", "inverse"))) {
  family <- case[[2]]; formula <- as.formula(paste(case[[3]], "~ Days + (1 | Subject)")); y <- sleep[[case[[3]]]]; n <- length(y)
  g <- glmer(formula, sleep, family = family, control = glmer_control); u <- getME(g, "u"); theta <- getME(g, "theta")
  spent <- sum(family$dev.resids(y, fitted(g), 1)); aic <- family$aic(y, rep(1, n), fitted(g), rep(1, n), spent); ld <- getME(g, "devcomp")$cmp[["ldL2"]]
  m <- model(y, D, case[[4]], case[[5]], list(list(drivers))); at <- c(fixef(g), log(theta * sqrt(spent / n)), log(n / spent))
  out[[case[[1]]]] <- c(list(software = "lme4", call = sprintf("glmer(%s ~ Days + (1 | Subject), family = %s(\"%s\"))", case[[3]], family$family, case[[5]]), loglik = as.numeric(logLik(g))), lme4_results(g),
    list(sigma = sigma(g), deviance_over_n = spent / n, loglik_rebuilt = -(aic + ld + sum(u^2)) / 2, laplace_at_its_estimates = m$laplace(at),
      modes_differ_from_laplace = max(abs(m$mode(m$unpack(at))$u * theta * sqrt(spent / n) - getME(g, "b")@x)),
      note = "not the Laplace approximation: -2 loglik = family aic at the dispersion deviance / n, which counts 2 for the dispersion, + log|L|^2 + u'u, where theta is relative and u'u should be divided by the dispersion; so sd comes out too small. The sd that the modes belong to is theta sqrt(deviance / n)"))
  cat(sprintf("%-28s %.9f rebuilt %+.1e, Laplace there %.6f\n", case[[1]], logLik(g), out[[case[[1]]]]$loglik_rebuilt - logLik(g), m$laplace(at)))
}

# ---- Small data: Laplace and integrals by groups, at given parameters and at the maximum ----
cat("small data\n")
set.seed(42)
small <- local({ g <- rep(1:12, each = 6); x <- rep(c(-1, -0.6, -0.2, 0.2, 0.6, 1), 12); u <- rnorm(12); eta <- 0.5 + 0.6 * x + 0.5 * u[g]; mu <- exp(eta)
  wald <- function(mu, k) { n <- rnorm(length(mu))^2; a <- mu + mu^2 * n / (2 * k) - mu / (2 * k) * sqrt(4 * mu * k * n + mu^2 * n^2); ifelse(runif(length(mu)) <= mu / (mu + a), a, mu^2 / a) }
  flat <- 1 / (1.2 + 0.3 * x + 0.2 * u[g])
  data.frame(g = sprintf("g%02d", g), x = x, count = rnbinom(72, size = 3, mu = 2 * mu), gamma = signif(rgamma(72, 4, 4 / mu), 6), wald = signif(wald(mu, 6), 6),
    gamma_flat = signif(rgamma(72, 6, 6 / flat), 6), wald_flat = signif(wald(flat, 6), 6), binary = rbinom(72, 1, plogis(0.3 + x + 2 * u[g])), successes = rbinom(72, 5, plogis(eta - 0.5))) })
out$small <- columns(small); S <- model.matrix(~ x, small); Gs <- levels_of(small$g)
small_case <- function(key, y, family, link, points, trials = 1) {
  m <- model(small[[y]], S, family, link, list(list(Gs)), trials = trials); f <- families[[family]]
  shape <- function(p) if (is.null(f$shape)) list() else setNames(list(exp(p[4])), f$shape)
  r <- list(software = "base R", call = paste0(y, if (trials > 1) paste(" of", trials), " ~ x + (1 | g), ", family, ", ", link))
  r$at <- lapply(points, function(p) c(list(beta = p[1:2], sd = exp(p[3])), shape(p), list(laplace = m$laplace(p), exact = m$exact(p), exact_by_gauss = m$exact_gauss(p), modes = setNames(as.list(m$mode(m$unpack(p))$u * exp(p[3])), colnames(Gs)))))
  for (way in c("laplace", "exact")) { fn <- if (way == "laplace") m$laplace else m$exact_gauss
    o <- maximize(fn, points[[1]]); r[[way]] <- describe(m, o, colnames(Gs)); if (way == "exact") r$exact$loglik_integrate <- m$exact(o$par) }
  cat(sprintf("%-28s Laplace %.9f (%.0e)  exact %.9f (%.0e)  integrate - Gauss %+.0e  sd %.4f\n", key, r$laplace$loglik, r$laplace$max_gradient, r$exact$loglik, r$exact$max_gradient, r$exact$loglik_integrate - r$exact$loglik, r$exact$sd))
  out[[key]] <<- r
}
small_case("small_poisson", "count", "poisson", "log", list(c(1.1, 0.6, log(0.5)), c(0.2, -0.3, log(1.1))))
small_case("small_nb2", "count", "negative_binomial", "log", list(c(1.1, 0.6, log(0.5), log(3)), c(0.2, -0.3, log(1.1), log(0.8))))
small_case("small_gamma", "gamma", "gamma", "log", list(c(0.5, 0.6, log(0.5), log(4)), c(0.2, -0.3, log(1.1), log(1.5))))
small_case("small_gamma_inverse", "gamma_flat", "gamma", "inverse", list(c(1.2, 0.3, log(0.2), log(6)), c(1.5, 0.1, log(0.3), log(3))))
small_case("small_ig", "wald", "inverse_gaussian", "log", list(c(0.5, 0.6, log(0.5), log(6)), c(0.2, -0.3, log(1.1), log(2.5))))
small_case("small_ig_inverse", "wald_flat", "inverse_gaussian", "inverse", list(c(1.2, 0.3, log(0.2), log(6)), c(1.5, 0.1, log(0.3), log(3))))
for (link in c("logit", "probit", "cloglog")) {
  small_case(paste0("small_binary_", link), "binary", "binomial", link, list(c(0.5, 0.6, log(0.5)), c(0.2, -0.3, log(1.1))))
  small_case(paste0("small_binomial_", link), "successes", "binomial", link, list(c(0.1, 0.6, log(0.5)), c(-0.3, 0.2, log(1.1))), trials = 5)
}
out$small_note <- "small_*: log-likelihoods of y ~ x + (1 | g). laplace has the observed second derivative; exact integrates over each group's effect (R's integrate, rel.tol 1e-12, and Gauss-Legendre quadrature with 400 nodes beside it, which found the maximum). With the inverse link the integral ends at eta = 0. For the inverse Gaussian with that link the log-likelihood is quadratic in eta, so that Laplace errs by that tail alone"

# ---- 4. Without a random term ----
cat("no random term\n")
tight <- glm.control(epsilon = 1e-14, maxit = 200)
glm_case <- function(key, call, family, link, data, dispersion = NULL, trials = 1, y = NULL, ...) {
  g <- suppressWarnings(eval(call)); X <- model.matrix(g); off <- if (is.null(g$offset)) 0 else g$offset; response <- if (is.null(y)) g$y else y
  m <- model(unname(response), X, family, link, offset = off, trials = trials); f <- families[[family]]
  o <- newton(m$laplace, unname(c(coef(g), if (!is.null(dispersion)) log(dispersion(g)))))
  r <- c(list(software = "R", call = text_of(call), loglik = o$value), describe(m, o)[-1], list(beta_glm = unname(coef(g)), loglik_glm = as.numeric(logLik(g)), deviance = deviance(g), se_summary = unname(summary(g)$coefficients[, 2])), list(...))
  if (family %in% c("gamma", "inverse_gaussian")) r$dispersion_summary <- summary(g)$dispersion
  cat(sprintf("%-28s %.9f  R %+.1e  gradient %.1e\n", key, r$loglik, r$loglik_glm - r$loglik, r$max_gradient)); out[[key]] <<- r
}
quine <- MASS::quine; out$quine <- columns(quine)
glm_case("glm_epil_poisson", quote(glm(y ~ lbase + trt, family = poisson, data = epil, control = tight)), "poisson", "log")
glm_case("glm_epil_poisson_offset", quote(glm(y ~ trt + offset(log(base / 4)), family = poisson, data = epil, control = tight)), "poisson", "log")
size_of <- function(g) g$theta
glm_case("glm_epil_nb2", quote(glm.nb(y ~ lbase + trt, data = epil, control = tight)), "negative_binomial", "log", dispersion = size_of)
glm_case("glm_epil_nb2_offset", quote(glm.nb(y ~ trt + offset(log(base / 4)), data = epil, control = tight)), "negative_binomial", "log", dispersion = size_of)
glm_case("glm_quine_nb2", quote(glm.nb(Days ~ Eth + Sex + Age + Lrn, data = quine, control = tight)), "negative_binomial", "log", dispersion = size_of)
shape_of <- function(g) MASS::gamma.shape(g, it.lim = 1000, eps.max = 1e-10)$alpha; lambda_of <- function(g) length(g$y) / deviance(g)
by_likelihood <- "the dispersion is the maximum likelihood estimate (Gamma: MASS::gamma.shape; inverse Gaussian: deviance / n); loglik_glm is R's, which takes deviance / n for both; dispersion_summary, by moments (Pearson), is behind se_summary"
glm_case("glm_sleep_gamma", quote(glm(Reaction ~ Days, family = Gamma("log"), data = sleep, control = tight)), "gamma", "log", dispersion = shape_of, note = by_likelihood)
glm_case("glm_sleep_gamma_offset", quote(glm(Reaction ~ Days + offset(log(1 + Days / 100)), family = Gamma("log"), data = sleep, control = tight)), "gamma", "log", dispersion = shape_of, note = by_likelihood)
glm_case("glm_sleep_gamma_inverse", quote(glm(Seconds ~ Days, family = Gamma("inverse"), data = sleep, control = tight)), "gamma", "inverse", dispersion = shape_of, note = by_likelihood)
glm_case("glm_sleep_ig", quote(glm(Reaction ~ Days, family = inverse.gaussian("log"), data = sleep, control = tight)), "inverse_gaussian", "log", dispersion = lambda_of, note = by_likelihood)
glm_case("glm_sleep_ig_inverse", quote(glm(Seconds ~ Days, family = inverse.gaussian("inverse"), data = sleep, control = tight)), "inverse_gaussian", "inverse", dispersion = lambda_of, note = by_likelihood)
for (link in c("logit", "probit", "cloglog")) {
  glm_case(paste0("glm_bacteria_", link), bquote(glm(y ~ trt + week, family = binomial(.(link)), data = bacteria, control = tight)), "binomial", link)
  glm_case(paste0("glm_cbpp_", link), bquote(glm(cbind(incidence, size - incidence) ~ period, family = binomial(.(link)), data = cbpp, control = tight)), "binomial", link, trials = cbpp$size, y = cbpp$incidence)
}
lm_case <- function(key, call, gls_call) { m <- eval(call); n <- nobs(m); g <- eval(gls_call)
  out[[key]] <<- list(software = "R", call = text_of(call), loglik = as.numeric(logLik(m)), loglik_REML = as.numeric(logLik(m, REML = TRUE)), loglik_REML_gls = as.numeric(logLik(g)), call_gls = text_of(gls_call),
    beta = unname(coef(m)), se = unname(sqrt(diag(vcov(m)))), sigma = sigma(m), sigma_ML = sqrt(sum(weighted.residuals(m)^2) / n), df = attr(logLik(m), "df"), note = "se belongs to sigma, by REML; logLik(m, REML = TRUE), gls and lmer count log|X'WX| alike")
  cat(sprintf("%-28s %.9f REML %.9f gls %+.1e\n", key, out[[key]]$loglik, out[[key]]$loglik_REML, out[[key]]$loglik_REML_gls - out[[key]]$loglik_REML)) }
sleep$known <- 5 * sqrt(sleep$Days); out$recipes$sleepstudy <- paste0(out$recipes$sleepstudy, "; known = 5 sqrt(Days)")
lm_case("lm_sleep", quote(lm(Reaction ~ Days, data = sleep)), quote(gls(Reaction ~ Days, data = sleep)))
lm_case("lm_sleep_weights", quote(lm(Reaction ~ Days, data = sleep, weights = weight)), quote(gls(Reaction ~ Days, data = sleep, weights = varFixed(~ 1 / weight))))
lm_case("lm_sleep_offset", quote(lm(Reaction ~ Days, data = sleep, offset = known)), quote(gls(Reaction - known ~ Days, data = sleep)))
lm_case("lm_sleep_weights_offset", quote(lm(Reaction ~ Days, data = sleep, weights = weight, offset = known)), quote(gls(Reaction - known ~ Days, data = sleep, weights = varFixed(~ 1 / weight))))

# ---- 5. Gaussian, with offset and weights ----
cat("lmer\n")
lmer_case <- function(key, call) { m <- eval(call); REML <- isREML(m); d <- update(m, devFunOnly = TRUE); theta <- getME(m, "theta")
  free <- theta > 0; g <- numDeriv::grad(function(t) { x <- theta; x[free] <- t; d(x) }, theta[free])
  out[[key]] <<- c(list(software = "lme4", call = text_of(call), criterion = if (REML) REMLcrit(m) else deviance(m), loglik = as.numeric(logLik(m))), lme4_results(m), list(sigma = sigma(m), max_gradient = max(abs(g)) / 2))
  cat(sprintf("%-28s %.9f  gradient %.1e\n", key, out[[key]]$loglik, out[[key]]$max_gradient)) }
for (REML in c(FALSE, TRUE)) { s <- if (REML) "REML" else "ML"
  lmer_case(paste0("sleep_offset_", s), bquote(lmer(Reaction ~ Days + (Days | Subject), data = sleep, offset = known, REML = .(REML), control = lmer_control)))
  lmer_case(paste0("sleep_weights_offset_", s), bquote(lmer(Reaction ~ Days + (Days | Subject), data = sleep, offset = known, weights = weight, REML = .(REML), control = lmer_control)))
  lmer_case(paste0("pastes_", s), bquote(lmer(strength ~ 1 + (1 | batch / cask), data = pastes, REML = .(REML), control = lmer_control))) }

# ---- 6. A smooth and counts ----
cat("smooth\n")
local({
  sm <- smoothCon(s(base, bs = "cr", k = 8), data = epil, absorb.cons = TRUE)[[1]]; re <- smooth2random(sm, "", type = 2)
  X <- cbind(model.matrix(~ trt, epil), re$Xf); Z <- re$rand[[1]]
  smooth_case <- function(key, call, random, start, mgcv_call) {
    m <- model(epil$y, X, "negative_binomial", "log", random); o <- maximize(m$laplace, start); g <- eval(mgcv_call); q <- m$unpack(o$par); at <- m$mode(q)
    r <- c(list(software = "base R, Laplace; columns by mgcv's smooth2random", call = call), describe(m, o), list(eta = at$eta,
      mgcv = list(call = text_of(mgcv_call), loglik = -as.numeric(g$gcv.ubre), size = g$family$getTheta(TRUE), beta = unname(coef(g))[1:2], edf = sum(g$edf), eta = unname(g$linear.predictors),
        note = "mgcv maximizes its Laplace approximation over the variances and the size, with beta at its joint mode with the effects instead of beta that maximizes it too; so its value is a little lower. loglik_joint_mode is the same by base R")))
    # X among the random effects, so vague that beta is at its joint mode with u, as mgcv has it; the determinant is that of u alone
    joint <- function(p) { a <- model(epil$y, matrix(0, length(epil$y), 1), "negative_binomial", "log", c(list(list(1e4 * X)), random)); md <- a$mode(a$unpack(c(0, 0, p)), c(o$par[1:3] / 1e4, at$u))
      md$value - sum(log(diag(chol(md$H[-(1:3), -(1:3)])))) }
    r$mgcv$loglik_joint_mode <- -nlminb(o$par[-(1:3)], function(p) -joint(p), control = list(rel.tol = 1e-13))$objective
    r$note <- "sd[1] is that of the smooth, in the scale of mgcv's columns; beta: intercept, trt, and the straight part in mgcv's scale"
    out[[key]] <<- r; cat(sprintf("%-28s %.9f  mgcv %+.2e, that by base R %+.1e  gradient %.1e\n", key, r$loglik, r$mgcv$loglik - r$loglik, r$mgcv$loglik_joint_mode - r$mgcv$loglik, r$max_gradient)) }
  smooth_case("epil_nb2_smooth", "y ~ trt + s(base, bs = 'cr', k = 8), NB2", list(list(Z)), c(1.9, -0.2, 0.8, log(0.5), log(2)),
    quote(gam(y ~ trt + s(base, bs = "cr", k = 8), data = epil, family = nb(), method = "ML", control = gam.control(epsilon = 1e-10, newton = list(conv.tol = 1e-9)))))
  smooth_case("epil_nb2_smooth_subject", "y ~ trt + s(base, bs = 'cr', k = 8) + (1 | subject), NB2", list(list(Z), list(subjects)), c(1.8, -0.3, 0.8, log(0.5), log(0.5), log(7)),
    quote(gam(y ~ trt + s(base, bs = "cr", k = 8) + s(subject, bs = "re"), data = epil, family = nb(), method = "ML", control = gam.control(epsilon = 1e-10, newton = list(conv.tol = 1e-9)))))
})

# ---- 7. Penalized quasi-likelihood ----
cat("PQL\n")
pql <- function(y, X, Z, family, sigma = NULL) {  # working response and weights, and ML of the working model, until nothing moves
  n <- length(y); ratio <- 1; g <- glm.fit(X, y, family = family, control = tight); eta <- g$linear.predictors
  for (round in 1:400) {
    mu <- family$linkinv(eta); d <- family$mu.eta(eta); w <- d^2 / family$variance(mu); z <- eta + (y - mu) / d; root <- sqrt(w)
    WX <- root * X; WZ <- root * Z
    solved <- function(log_ratio) { t2 <- exp(2 * log_ratio); R <- chol(diag(n) + t2 * tcrossprod(WZ)); A <- forwardsolve(t(R), cbind(WX, root * z)); q <- lm.fit(A[, seq_len(ncol(X))], A[, ncol(A)])
      s2 <- if (is.null(sigma)) sum(q$residuals^2) / n else sigma^2; half <- forwardsolve(t(R), WZ)
      # the derivative of -2 log-likelihood in log(ratio)
      list(slope = 2 * t2 * (sum(half^2) - sum(crossprod(half, q$residuals)^2) / s2), beta = q$coefficients, s2 = s2, R = R, cov = solve(crossprod(A[, seq_len(ncol(X))]))) }
    ratio <- exp(uniroot(function(l) solved(l)$slope, log(ratio) + c(-2, 2), extendInt = "upX", tol = 1e-14)$root); s <- solved(log(ratio))
    u <- ratio^2 * c(crossprod(WZ, backsolve(s$R, forwardsolve(t(s$R), root * (z - X %*% s$beta))))); new <- c(X %*% s$beta + Z %*% u); change <- max(abs(new - eta)); eta <- new
    if (change < 1e-11) break
  }
  list(beta = unname(s$beta), se = unname(sqrt(s$s2 * diag(s$cov))), sd = ratio * sqrt(s$s2), sigma = sqrt(s$s2), modes = setNames(as.list(u), colnames(Z)), rounds = round, change = change)
}
pql_case <- function(key, call, y, X, Z, family) {
  g <- suppressWarnings(eval(call)); v <- as.numeric(VarCorr(g)[, 2]); r <- list(software = "base R, driven to the end; MASS::glmmPQL beside it, as it stops", call = text_of(call))
  r$glmmPQL <- list(beta = unname(fixef(g)), sd = v[1], sigma = v[2], se = unname(sqrt(diag(vcov(g)))))
  if (family$family == "binomial") { g <- suppressWarnings(eval(as.call(replace(as.list(call), "control", list(quote(lme_control_1))))))
    r$glmmPQL_sigma_1 <- list(beta = unname(fixef(g)), sd = as.numeric(VarCorr(g)[1, 2]), se = unname(sqrt(diag(vcov(g)))), control = "sigma = 1") }
  r$dispersion <- pql(y, X, Z, family); r$sigma_1 <- if (family$family == "binomial") pql(y, X, Z, family, 1)
  r$note <- "dispersion: as glmmPQL does, ML of the working model with a free residual standard deviation sigma, on the scale of the weights (for Gamma sigma^2 is the dispersion, Var(y) = sigma^2 mu^2), and sd that of the random effect itself, not relative to sigma; sigma_1: sigma held at 1. se by (X'V^-1 X)^-1 of the working model, as vcov has it; the summary of glmmPQL multiplies by sqrt(n / (n - p))"
  out[[key]] <<- r; cat(sprintf("%-28s beta %.1e, sd %.1e from glmmPQL, change %.0e in round %d\n", key, max(abs(r$dispersion$beta - r$glmmPQL$beta)), r$dispersion$sd - r$glmmPQL$sd, r$dispersion$change, r$dispersion$rounds)) }
lme_control <- lmeControl(tolerance = 1e-12, msTol = 1e-13, maxIter = 500, msMaxIter = 500, returnObject = TRUE)
lme_control_1 <- lmeControl(tolerance = 1e-12, msTol = 1e-13, maxIter = 500, msMaxIter = 500, returnObject = TRUE, sigma = 1)
pql_case("bacteria_PQL", quote(glmmPQL(y ~ trt + week, random = ~ 1 | id, family = binomial, data = bacteria, niter = 100, verbose = FALSE, control = lme_control)), bacteria$y, T, children, binomial())
pql_case("sleep_gamma_PQL", quote(glmmPQL(Reaction ~ Days, random = ~ 1 | Subject, family = Gamma("log"), data = sleep, niter = 100, verbose = FALSE, control = lme_control)), sleep$Reaction, D, drivers, Gamma("log"))

write(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = FALSE), "families.json")
