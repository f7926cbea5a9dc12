# Reference results for intervals, tests, degrees of freedom, predictions, bands and diagnostics (chapter 13).
# Debian: apt-get install r-base-core r-cran-lme4 r-cran-lmertest r-cran-pbkrtest r-cran-rlrsim r-cran-mgcv r-cran-glmmtmb r-cran-mass r-cran-jsonlite
# Run from this folder: Rscript make_inference.R   (writes inference.json here, and dyestuff.csv and mcycle.csv in ../data)
suppressPackageStartupMessages({library(lme4); library(mgcv); library(glmmTMB); library(jsonlite)})
invisible(Sys.setlocale("LC_COLLATE", "C"))
packages <- c("lme4", "lmerTest", "pbkrtest", "RLRsim", "mgcv", "glmmTMB", "MASS")
out <- list(versions = as.list(c(R = R.version.string, sapply(packages, function(p) as.character(packageVersion(p))))))
ctl <- lmerControl(optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-14, maxeval = 1e5))
gctl <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-10, maxfun = 1e6), tolPwrss = 1e-12)

# ---- Data, with the names of columns that the library has ----
dyestuff <- data.frame(batch = Dyestuff$Batch, yield = Dyestuff$Yield)
write.csv(dyestuff, "../data/dyestuff.csv", row.names=FALSE, quote=FALSE)
mcycle <- with(MASS::mcycle, data.frame(time = times, accel = accel))
write.csv(mcycle, "../data/mcycle.csv", row.names=FALSE, quote=FALSE)
sleep <- setNames(sleepstudy, c("reaction", "days", "subject"))
sleep$weight <- 1 + seq_len(nrow(sleep)) %% 3
pastes <- Pastes[c("batch", "cask", "sample", "strength")]
penicillin <- Penicillin
cake <- with(lme4::cake, data.frame(angle = angle, recipe = recipe, temp = temp, dough = interaction(recipe, replicate, lex.order = TRUE)))
epil <- MASS::epil; epil$subject <- factor(epil$subject); epil$row <- factor(seq_len(nrow(epil)))
bacteria <- with(MASS::bacteria, data.frame(y = as.numeric(y == "y"), week = week, id = ID, trt = trt))
size <- c(1.42, 1.58, 1.78, 1.99, 1.99, 1.99, 2.13, 2.13, 2.13, 2.32, 2.32, 2.32, 2.32, 2.32, 2.43, 2.43, 2.78, 2.98, 2.98)
wear <- c(4.0, 4.2, 2.5, 2.6, 2.8, 2.4, 3.2, 2.4, 2.6, 4.8, 2.9, 3.8, 3.0, 2.7, 3.1, 3.3, 3.0, 2.8, 1.7)
set.seed(4); rows_120 <- sort(sample(180, 120)); sleep_120 <- sleep[rows_120, ]
set.seed(5); rows_cake <- sort(sample(270, 150)); cake_150 <- cake[rows_cake, ]
# raters and items are crossed, a third of the cells has no rating
trial <- local({ set.seed(6)
  d <- expand.grid(rater = factor(sprintf("r%02d", 1:15)), item = factor(sprintf("i%02d", 1:9)))
  d$way <- factor(c("a", "b", "c")[1 + (as.integer(d$rater) + 2 * as.integer(d$item)) %% 3]); d$x <- round(rnorm(nrow(d)), 2)
  d <- d[sort(sample(nrow(d), 90)), ]
  u <- rnorm(15); v <- rnorm(9, sd = 0.7); w <- rnorm(15, sd = 0.5)
  d$y <- round(5 + c(0, 0.5, -0.4)[d$way] + 0.4 * d$x + u[d$rater] + v[d$item] + w[d$rater] * d$x + rnorm(90), 3); d })
columns <- function(d) lapply(d, function(v) if (is.factor(v)) as.character(v) else v)
out$data <- list(penicillin = columns(penicillin), cake = columns(cake), trial = columns(trial))
out$recipes <- list(sleepstudy = "sleepstudy.csv in lower case; weight = 1 + (row modulo 3), row counted from 1",
  sleepstudy_120 = "the rows of sleepstudy in rows_from_zero", cake_150 = "the rows of data$cake in rows_from_zero",
  volvo = "volvo.csv", epil = "epil.csv, with lbase and lage as it has them, centered", names = "as mixedsmooth has them: sd days | subject, corr days, (Intercept) | subject")

# ---- Names and tables ----
named <- function(x) sub("^cor_(.+)\\.(\\(Intercept\\)|[A-Za-z]+)\\|(.+)$", "corr \\1, \\2 | \\3", sub("^sd_(.+)\\|(.+)$", "sd \\1 | \\2", x))
by_name <- function(m) setNames(lapply(seq_len(nrow(m)), function(i) unname(m[i, ])), named(rownames(m)))
table_of <- function(m, ddf) { s <- coef(summary(m, ddf = ddf))
  setNames(lapply(seq_len(nrow(s)), function(i) setNames(as.list(unname(s[i, ])), c("estimate", "se", "df", "t", "p"))), rownames(s)) }
anova_of <- function(a) list(models = rownames(a), npar = a$npar, AIC = a$AIC, BIC = a$BIC, loglik = a$logLik, change = a$Chisq[-1], df = a$Df[-1], p = a[["Pr(>Chisq)"]][-1])
say <- function(...) cat(sprintf("%5.1f s  ", proc.time()[["elapsed"]]), sprintf(...), "\n", sep = "")

# ---- The deviance from its definition: V is dense, beta is profiled out, the parameters are sd, corr and sigma ----
# terms: a list of list(Z = n x m matrices, one an effect; full = are the effects correlated)
indicators <- function(f, x = 1) x * model.matrix(~ 0 + f)
dense <- function(y, X, terms, reml) function(par, known = 0, free = seq_len(ncol(X))) {
  n <- length(y); V <- diag(n) * par[length(par)]^2; at <- 0
  for (t in terms) {
    k <- length(t$Z); corr <- diag(k); sd <- numeric(k)
    for (c in seq_len(k)) { at <- at + 1; sd[c] <- par[at]
      if (t$full && c < k) for (d in (c + 1):k) { at <- at + 1; corr[d, c] <- corr[c, d] <- par[at] } }
    for (c in seq_len(k)) for (d in seq_len(k)) V <- V + sd[c] * corr[c, d] * sd[d] * tcrossprod(t$Z[[c]], t$Z[[d]])
  }
  R <- tryCatch(chol(V), error = function(e) NULL); if (is.null(R)) return(1e10)
  k <- length(free); white <- backsolve(R, cbind(X[, free, drop = FALSE], y - known), transpose = TRUE)
  Q <- qr(white)  # the last diagonal is the root of the residual sum of squares
  2 * sum(log(diag(R))) + qr.R(Q)[k + 1, k + 1]^2 + (n - if (reml) k else 0) * log(2 * pi) + if (reml) 2 * sum(log(abs(diag(qr.R(Q))[seq_len(k)]))) else 0
}
least <- function(f, start, lower, upper) { o <- list(par = start, objective = Inf)
  for (i in 1:4) { new <- nlminb(o$par, f, lower = lower, upper = upper, control = list(rel.tol = 1e-14, x.tol = 1e-11, iter.max = 500, eval.max = 2000))
    done <- new$objective > o$objective - 1e-10; if (new$objective < o$objective) o <- new; if (done) break }
  o }
# where rise() is zero, outward from a value by steps; the limit itself if it is not reached there
outward <- function(rise, from, step, limit) { repeat { to <- from + step
    if ((to - limit) * sign(step) >= 0) { if (rise(limit) <= 0) return(limit); to <- limit; break }
    if (rise(to) > 0) break; from <- to }
  uniroot(rise, sort(c(from, to)), tol = 1e-9 * max(abs(from), abs(to)))$root }
# ends of profile intervals: there the deviance, minimized over all other parameters, has risen by the quantile
exact_profile <- function(m, terms, level = 0.95, X = getME(m, "X"), y = getME(m, "y")) {
  reml <- isREML(m); f <- dense(y, X, terms, reml); v <- as.data.frame(VarCorr(m), order = "lower.tri"); start <- v$sdcor
  corr <- !is.na(v$var2); lower <- ifelse(corr, -1, 0); lower[length(lower)] <- 1e-3 * sigma(m); upper <- ifelse(corr, 1, Inf)
  names <- ifelse(corr, sprintf("corr %s, %s | %s", v$var2, v$var1, v$grp), sprintf("sd %s | %s", v$var1, v$grp)); names[length(names)] <- "sigma"
  best <- least(f, start, lower, upper); bound <- qchisq(level, 1); res <- list()
  interval <- function(search, estimate, step, limits) sapply(1:2, function(side) { warm <- search$start
    rise <- function(value) { o <- search$at(value, warm); warm <<- o$par; o$objective - best$objective - bound }
    outward(rise, estimate, c(-step, step)[side], limits[side]) })
  for (i in seq_along(start)) res[[names[i]]] <- interval(list(start = best$par[-i], at = function(value, warm) least(function(q) f(append(q, value, i - 1)), warm, lower[-i], upper[-i])),
    best$par[i], if (corr[i]) 0.25 else 0.25 * best$par[i] + 0.01 * sigma(m), c(lower[i], upper[i]))
  if (!reml) for (j in seq_len(ncol(X))) res[[colnames(X)[j]]] <- interval(list(start = best$par, at = function(value, warm) least(function(q) f(q, value * X[, j], seq_len(ncol(X))[-j]), warm, lower, upper)),
    fixef(m)[[j]], sqrt(vcov(m)[j, j]), c(-Inf, Inf))
  list(deviance = best$objective, lme4 = if (reml) REMLcrit(m) else deviance(m), estimate = setNames(as.list(best$par), names), interval = res)
}

# ---- 1. Profiles and Wald ----
# profile*: confint(profile(m)), which interpolates; exact*: from the dense deviance above, by root finding, and REML too
slope <- list(list(Z = list(indicators(sleep$subject), indicators(sleep$subject, sleep$days)), full = TRUE))
ml <- lmer(reaction ~ days + (days | subject), sleep, REML = FALSE, control = ctl)
re <- lmer(reaction ~ days + (days | subject), sleep, control = ctl)
ml_0 <- lmer(reaction ~ days + (1 | subject), sleep, REML = FALSE, control = ctl)
re_0 <- lmer(reaction ~ days + (1 | subject), sleep, control = ctl)
ml_1 <- lmer(reaction ~ 1 + (days | subject), sleep, REML = FALSE, control = ctl)
profiles <- function(m, exact = NULL, levels = 0.95) { p <- profile(m, signames = FALSE)
  r <- list(call = paste(deparse(formula(m)), collapse = ""), estimate = setNames(as.list(c(as.data.frame(VarCorr(m), order = "lower.tri")$sdcor, fixef(m))), named(rownames(confint(p)))))
  for (l in levels) r[[paste0("profile", 100 * l)]] <- by_name(suppressWarnings(confint(p, level = l)))
  r }
out$sleepstudy <- c(profiles(ml, levels = c(0.8, 0.95, 0.99)), list(wald95_REML = by_name(confint(re, method = "Wald", parm = "beta_")),
  exact95_ML = exact_profile(ml, slope), exact99_ML = exact_profile(ml, slope, 0.99), exact95_REML = exact_profile(re, slope), exact99_REML = exact_profile(re, slope, 0.99),
  lrt_slope_ML = as.numeric(2 * (logLik(ml) - logLik(ml_0))), lrt_slope_REML = as.numeric(2 * (logLik(re) - logLik(re_0))), lrt_days_ML = as.numeric(2 * (logLik(ml) - logLik(ml_1)))))
say("sleepstudy")
apart <- list(list(Z = list(indicators(sleep$subject)), full = FALSE), list(Z = list(indicators(sleep$subject, sleep$days)), full = FALSE))
ml_d <- lmer(reaction ~ days + (days || subject), sleep, REML = FALSE, control = ctl); re_d <- update(ml_d, REML = TRUE)
local({ p <- profiles(ml_d); fix <- function(x) { names(x) <- sub("subject.1", "subject", names(x), fixed = TRUE); x }
  e <- lapply(list(exact95_ML = ml_d, exact95_REML = re_d), function(m) { r <- exact_profile(m, apart); r$estimate <- fix(r$estimate); r$interval <- fix(r$interval); r })
  out$sleepstudy_independent <<- c(list(call = p$call, estimate = fix(p$estimate), profile95 = fix(p$profile95)), e) })
say("independent slopes")
one_way <- list(list(Z = list(indicators(dyestuff$batch)), full = FALSE))
dm <- lmer(yield ~ 1 + (1 | batch), dyestuff, REML = FALSE, control = ctl); dr <- lmer(yield ~ 1 + (1 | batch), dyestuff, control = ctl)
F <- summary(aov(yield ~ batch, dyestuff))[[1]]$F[1]
set.seed(1); rlrsim <- RLRsim::exactRLRT(dr, nsim = 1e5)
out$dyestuff <- c(profiles(dm, levels = c(0.8, 0.95, 0.99)), list(exact95_ML = exact_profile(dm, one_way), exact99_ML = exact_profile(dm, one_way, 0.99), exact95_REML = exact_profile(dr, one_way), exact99_REML = exact_profile(dr, one_way, 0.99),
  F = F, p_exact = pf(F, 5, 24, lower.tail = FALSE), lrt_ML = as.numeric(2 * (logLik(dm) - logLik(lm(yield ~ 1, dyestuff)))), rlrt = unname(rlrsim$statistic), rlrsim_p = unname(rlrsim$p.value),
  p_zero_REML = pf(1, 5, 24), p_zero_ML = pf(6 / 5, 5, 24), p_zero_note = "probability that the restricted or the full likelihood estimates no variance when there is none"))
# sigma_batch is estimated as zero where the F ratio is below 1 (REML) or a / (a - 1) (ML); in a bootstrap F is scaled by the ratio of expected mean squares
zero <- function(m, bound) pf(bound * sigma(m)^2 / (sigma(m)^2 + 5 * VarCorr(m)$batch[1]), 5, 24)
out$dyestuff_boot <- list(note = "probability that sigma_batch is estimated as zero in a parametric bootstrap", ML = zero(dm, 6 / 5), REML = zero(dr, 1))
say("dyestuff")
pm <- lmer(strength ~ 1 + (1 | batch) + (1 | sample), pastes, REML = FALSE, control = ctl); pr <- update(pm, REML = TRUE)
nested <- list(list(Z = list(indicators(pastes$sample)), full = FALSE), list(Z = list(indicators(pastes$batch)), full = FALSE))
out$pastes <- c(profiles(pm), list(exact95_ML = exact_profile(pm, nested), exact95_REML = exact_profile(pr, nested)))
say("pastes")
qm <- lmer(diameter ~ 1 + (1 | plate) + (1 | sample), penicillin, REML = FALSE, control = ctl); qr_ <- update(qm, REML = TRUE)
crossed <- list(list(Z = list(indicators(penicillin$plate)), full = FALSE), list(Z = list(indicators(penicillin$sample)), full = FALSE))
out$penicillin <- c(profiles(qm), list(exact95_ML = exact_profile(qm, crossed), exact95_REML = exact_profile(qr_, crossed)))
say("penicillin")
# glmer: where the estimates are, log-likelihood, se, profile and Wald
generalized <- function(m) { p <- profile(m, signames = FALSE)
  list(call = paste(deparse(formula(m)), collapse = ""), loglik = as.numeric(logLik(m)), beta = as.list(fixef(m)), se = unname(sqrt(diag(as.matrix(vcov(m))))),
    profile95 = by_name(confint(p)), wald95 = by_name(confint(m, method = "Wald", parm = "beta_"))) }
ep <- glmer(y ~ lbase + trt + (1 | subject), epil, poisson, control = gctl)
ba <- glmer(y ~ trt + week + (1 | id), bacteria, binomial, control = gctl)
out$epil_poisson <- generalized(ep); say("epil, Poisson"); out$bacteria_logit <- generalized(ba); say("bacteria")
nb <- glmmTMB(y ~ lbase + trt + (1 | subject), epil, family = nbinom2)
local({ u <- confint(nb, method = "uniroot", parm = 1:5, estimate = FALSE)
  u <- list(`sd (Intercept) | subject` = exp(unname(u[5, ])), size = exp(unname(u[4, ])), `(Intercept)` = unname(u[1, ]), lbase = unname(u[2, ]), trtprogabide = unname(u[3, ]))
  out$epil_nb2 <<- list(call = "glmmTMB(y ~ lbase + trt + (1 | subject), epil, family = nbinom2); confint(method = 'uniroot')", loglik = as.numeric(logLik(nb)),
    beta = as.list(fixef(nb)$cond), se = unname(sqrt(diag(vcov(nb)$cond))), size = sigma(nb), profile95 = u, wald95 = by_name(confint(nb, method = "Wald", parm = "beta_", estimate = FALSE)[1:3, ])) })
say("epil, NB2")

# ---- 2. Degrees of freedom and contrasts ----
# L: rows of weights; F tests by lmerTest::contest, which calls pbkrtest::KRmodcomp for Kenward-Roger (the scaled F)
tests <- function(call, contrasts, kr = TRUE) { m <- eval(call); ways <- c(satterthwaite = "Satterthwaite", if (kr) c(kenward_roger = "Kenward-Roger"))
  r <- list(call = paste(trimws(deparse(call)), collapse = " "), REML = isREML(m), names = names(fixef(m)), sd = as.data.frame(VarCorr(m), order = "lower.tri")$sdcor, cov_beta = unname(as.matrix(vcov(m))))
  for (w in names(ways)) r[[w]] <- table_of(m, ways[[w]])
  if (kr) r$kenward_roger_cov <- unname(as.matrix(pbkrtest::vcovAdj(m)))
  r$contrasts <- lapply(contrasts, function(L) { L <- matrix(L, ncol = length(fixef(m))); one <- list(L = L)
    for (w in names(ways)) one[[w]] <- if (nrow(L) == 1) setNames(as.list(lmerTest::contest(m, L, joint = FALSE, ddf = ways[[w]]))[c("Estimate", "Std. Error", "df", "t value", "Pr(>|t|)")], c("estimate", "se", "df", "t", "p")) else
      setNames(as.list(lmerTest::contest(m, L, joint = TRUE, ddf = ways[[w]]))[c("F value", "NumDF", "DenDF", "Pr(>F)")], c("F", "df1", "df2", "p"))
    one })
  r }
rows <- function(...) rbind(...)
both <- list(both = diag(2), day_5 = c(1, 5))
out$sleepstudy <- c(out$sleepstudy, tests(quote(lmerTest::lmer(reaction ~ days + (days | subject), sleep, control = ctl)), both)[c("satterthwaite", "kenward_roger", "kenward_roger_cov", "contrasts")])
out$sleepstudy_intercept <- tests(quote(lmerTest::lmer(reaction ~ days + (1 | subject), sleep, control = ctl)), both)
out$sleepstudy$satterthwaite_ML <- tests(quote(lmerTest::lmer(reaction ~ days + (days | subject), sleep, REML = FALSE, control = ctl)), list(), kr = FALSE)$satterthwaite
out$sleepstudy_120 <- c(list(rows_from_zero = rows_120 - 1), tests(quote(lmerTest::lmer(reaction ~ days + (days | subject), sleep_120, control = ctl)), both))
# pbkrtest has no weights
out$sleepstudy_weights <- tests(quote(lmerTest::lmer(reaction ~ days + (days | subject), sleep, weights = weight, control = ctl)), both, kr = FALSE)
recipes <- list(recipe = rows(c(0, 1, 0, 0), c(0, 0, 1, 0)), all = diag(4)[-1, ], between = c(0, 1, -1, 0))
out$cake <- tests(quote(lmerTest::lmer(angle ~ recipe + temp + (1 | dough), cake, control = ctl)), recipes)
out$cake_150 <- c(list(rows_from_zero = rows_cake - 1), tests(quote(lmerTest::lmer(angle ~ recipe + temp + (1 | dough), cake_150, control = ctl)), recipes))
out$cake_150_interaction <- tests(quote(lmerTest::lmer(angle ~ recipe * temp + (1 | dough), cake_150, control = ctl)), list(interaction = diag(6)[5:6, ], recipe = diag(6)[c(2, 3, 5, 6), ], slope_b = c(0, 0, 0, 1, 1, 0)))
ways <- list(way = rows(c(0, 1, 0, 0), c(0, 0, 1, 0)), three = diag(4)[-1, ], b_c = c(0, 1, -1, 0))
out$trial_crossed <- tests(quote(lmerTest::lmer(y ~ way + x + (1 | rater) + (1 | item), trial, control = ctl)), ways)
out$trial_slopes <- tests(quote(lmerTest::lmer(y ~ way + x + (x | rater) + (1 | item), trial, control = ctl)), ways)
out$trial_independent <- tests(quote(lmerTest::lmer(y ~ way + x + (x || rater) + (1 | item), trial, control = ctl)), ways)
out$pastes$satterthwaite <- table_of(lmerTest::as_lmerModLmerTest(pr), "Satterthwaite"); out$pastes$kenward_roger <- table_of(lmerTest::as_lmerModLmerTest(pr), "Kenward-Roger")
out$penicillin$satterthwaite <- table_of(lmerTest::as_lmerModLmerTest(qr_), "Satterthwaite"); out$penicillin$kenward_roger <- table_of(lmerTest::as_lmerModLmerTest(qr_), "Kenward-Roger")
say("degrees of freedom")

# ---- 3. Comparison: anova(), of maximum likelihood and of the restricted ----
out$compare <- list(
  sleepstudy_ML = anova_of(anova(ml_1, ml_0, ml)), sleepstudy_REML = anova_of(anova(re_0, re, refit = FALSE)),
  sleepstudy_independent_ML = anova_of(anova(ml_0, ml_d, ml)),
  cake_ML = local({ g <- function(f) lmer(f, cake, REML = FALSE, control = ctl)
    anova_of(anova(g(angle ~ 1 + (1 | dough)), g(angle ~ temp + (1 | dough)), g(angle ~ recipe + temp + (1 | dough)), g(angle ~ recipe * temp + (1 | dough)), model.names = c("1", "temp", "recipe + temp", "recipe * temp"))) }),
  epil_poisson = local({ g <- function(f) glmer(f, epil, poisson, control = gctl)
    anova_of(anova(g(y ~ lbase + (1 | subject)), g(y ~ lbase + trt + (1 | subject)), g(y ~ lbase * trt + (1 | subject)), model.names = c("lbase", "lbase + trt", "lbase * trt"))) }))
say("comparison")

# ---- 4. Is this variance zero? Crainiceanu and Ruppert (2004) ----
# Draws of the null from its spectral form, on a fine grid of the ratio of variances. RLRsim's beside them: it climbs its grid
# from zero and stops at the first maximum, which is not always the highest where the eigenvalues differ much, as those of smooths.
null_of <- function(X, Z, statistic, seed = 1, nsim = 2e5) { mu <- svd(qr.resid(qr(X), Z), nu = 0, nv = 0)$d^2; mu <- mu[mu > 1e-9 * mu[1]]; m <- nrow(X) - ncol(X); K <- length(mu)
  lambda <- c(0, exp(seq(-14, 14, length.out = 300))) / mu[1]; c1 <- 1 + outer(mu, lambda); set.seed(seed)
  draws <- unlist(lapply(seq_len(nsim / 1000), function(i) { w <- matrix(rchisq(1000 * K, 1), 1000); rest <- rchisq(1000, m - K)
    fall <- -m * log((w %*% (1 / c1) + rest) / (rowSums(w) + rest)) - rep(colSums(log(c1)), each = 1000); apply(fall, 1, max) })); draws[draws < 1e-9] <- 0  # rounding
  set.seed(seed); first <- c(RLRsim::RLRTSim(X, Z, qr(X), diag(ncol(Z)), nsim = 1e6)); at <- c(0.5, 0.75, 0.9, 0.95, 0.99)
  list(statistic = statistic, p = mean(draws >= statistic), zero_probability = mean(draws == 0), quantiles = setNames(as.list(unname(quantile(draws, at))), at), nsim = nsim,
    RLRsim = list(p = mean(first >= statistic), zero_probability = mean(first == 0), nsim = 1e6)) }
likelihood_ratio <- function(big, small) max(0, as.numeric(2 * (logLik(big, REML = TRUE) - logLik(small, REML = TRUE))))
# the restricted criterion of a smooth may have two minima: a grid of ratios of its sd to sigma, then the best is refined
restricted <- function(y, X, Z) { f <- dense(y, X, list(list(Z = list(Z), full = FALSE)), TRUE); s <- sd(y)
  at <- function(ratio) { o <- optimize(function(sigma) f(c(ratio, 1) * sigma), c(1e-3, 3) * s, tol = 1e-10); c(o$objective, c(ratio, 1) * o$minimum) }
  tried <- sapply(c(0, exp(seq(-7, 7, 0.5))), at); best <- which.min(tried[1, ])
  tried[1, 1] - min(tried[1, best], least(f, tried[-1, best], c(0, 1e-4 * s), c(Inf, Inf))$objective) }
smooth_null <- function(y, x, k) { sm <- smoothCon(s(x, bs = "cr", k = k), data = data.frame(x = x), absorb.cons = TRUE)[[1]]; r <- smooth2random(sm, "", type = 2); X <- cbind(1, r$Xf)
  statistic <- restricted(y, X, r$rand[[1]]); null_of(X, r$rand[[1]], if (statistic < 1e-8) 0 else statistic) }
set.seed(1); slope_only <- lmer(reaction ~ days + (0 + days | subject), sleep, control = ctl)
out$variance_test <- list(note = "p and zero_probability are shares of nsim draws; zero_probability and quantiles are of the null",
  dyestuff = null_of(matrix(1, 30), indicators(dyestuff$batch), likelihood_ratio(dr, lm(yield ~ 1, dyestuff))),
  sleepstudy_intercept = null_of(getME(re_0, "X"), indicators(sleep$subject), likelihood_ratio(re_0, lm(reaction ~ days, sleep))),
  sleepstudy_120_intercept = local({ m <- lmer(reaction ~ days + (1 | subject), sleep_120, control = ctl); null_of(getME(m, "X"), indicators(sleep_120$subject), likelihood_ratio(m, lm(reaction ~ days, sleep_120))) }),
  volvo_smooth = c(list(call = "wear ~ s(size, bs = 'cr', k = 8)"), smooth_null(wear, size, 8)),
  mcycle_smooth = c(list(call = "accel ~ s(time, bs = 'cr', k = 20)"), smooth_null(mcycle$accel, mcycle$time, 20)),
  mcycle_late_smooth = local({ d <- mcycle[mcycle$time > 40, ]; c(list(call = "accel ~ s(time, bs = 'cr', k = 8), the rows with time > 40"), smooth_null(d$accel, d$time, 8)) }),
  # the other effects at their estimates under the null: RLRsim leaves them out (Greven et al. 2008)
  sleepstudy_independent = local({ set.seed(1); e <- RLRsim::exactRLRT(m = slope_only, mA = re_d, m0 = re_0, nsim = 1e6)
    list(call = "exactRLRT(m = (0 + days | subject), mA = (days || subject), m0 = (1 | subject)): the slope beside the intercept", statistic = unname(e$statistic), p = unname(e$p.value), nsim = 1e6) }),
  pastes_batch = local({ set.seed(1); a <- lmer(strength ~ 1 + (1 | batch), pastes, control = ctl); b <- lmer(strength ~ 1 + (1 | sample), pastes, control = ctl)
    e <- RLRsim::exactRLRT(m = a, mA = pr, m0 = b, nsim = 1e6); list(call = "exactRLRT(m = (1 | batch), mA = both, m0 = (1 | sample))", statistic = unname(e$statistic), p = unname(e$p.value), nsim = 1e6) }))
say("variance tests")

# ---- 5. Predictions: value and variances from the dense V (universal kriging) ----
# c0: covariances of the new row's effects with y; g0: their variance
kriged <- function(m, X0, c0, g0) { X <- getME(m, "X"); y <- getME(m, "y"); s2 <- sigma(m)^2; Z <- as.matrix(getME(m, "Z")); G <- s2 * as.matrix(tcrossprod(getME(m, "Lambda")))
  V <- Z %*% G %*% t(Z) + diag(length(y)) * s2; W <- solve(V); C <- solve(t(X) %*% W %*% X); beta <- C %*% t(X) %*% W %*% y
  value <- drop(X0 %*% beta + c0 %*% W %*% (y - X %*% beta)); D <- X0 - c0 %*% W %*% X
  mean <- g0 - rowSums((c0 %*% W) * c0) + rowSums((D %*% C) * D)
  list(value = value, se_confidence = sqrt(mean), se_prediction = sqrt(mean + s2)) }
out$prediction <- list(note = "se_confidence: of the mean, with the effects of known groups predicted and those of new groups at their full variance; se_prediction: of a new observation. Variances as estimated by REML",
  sleepstudy = local({ new <- data.frame(days = c(0, 9, 10, 4.5, 0, 10), subject = c("308", "308", "308", "335", "new", "new")); G <- matrix(c(VarCorr(re)$subject), 2)
    X0 <- cbind(1, new$days); X <- getME(re, "X"); c0 <- t(sapply(1:6, function(i) (sleep$subject == new$subject[i]) * c(X %*% G %*% X0[i, ])))
    c(columns(new), kriged(re, X0, c0, rowSums((X0 %*% G) * X0))) }),
  sleepstudy_120 = local({ m <- lmer(reaction ~ days + (days | subject), sleep_120, control = ctl); new <- data.frame(days = c(0, 10, 5, 5), subject = c("308", "330", "352", "new")); G <- matrix(c(VarCorr(m)$subject), 2)
    X0 <- cbind(1, new$days); X <- getME(m, "X"); c0 <- t(sapply(1:4, function(i) (sleep_120$subject == new$subject[i]) * c(X %*% G %*% X0[i, ])))
    c(columns(new), kriged(m, X0, c0, rowSums((X0 %*% G) * X0))) }),
  penicillin = local({ new <- data.frame(plate = c("a", "a", "new", "new"), sample = c("A", "new", "F", "new")); v <- c(VarCorr(qr_)$plate, VarCorr(qr_)$sample)
    c0 <- t(sapply(1:4, function(i) v[1] * (penicillin$plate == new$plate[i]) + v[2] * (penicillin$sample == new$sample[i])))
    c(columns(new), kriged(qr_, matrix(1, 4), c0, rep(sum(v), 4))) }),
  trial = local({ m <- lmer(y ~ way + x + (x | rater) + (1 | item), trial, control = ctl); new <- data.frame(way = c("a", "b", "c", "b"), x = c(0, 1, -1, 2), rater = c("r01", "r07", "new", "r15"), item = c("i01", "new", "i09", "i05"))
    X0 <- cbind(1, new$way == "b", new$way == "c", new$x); G <- matrix(c(VarCorr(m)$rater), 2); v <- c(VarCorr(m)$item)
    c0 <- t(sapply(1:4, function(i) (trial$rater == new$rater[i]) * c(cbind(1, trial$x) %*% G %*% c(1, new$x[i])) + v * (trial$item == new$item[i])))
    c(columns(new), kriged(m, X0, c0, rowSums((cbind(1, new$x) %*% G) * cbind(1, new$x)) + v)) }))
say("predictions")

# ---- 6. Curves: bands, standard errors, the check of the basis dimension ----
# simultaneous 95 % band: the curve s(time) with the intercept, over its range, Bayesian covariance given the variances
for (bs in c("cr", "tp")) {
  m <- gam(accel ~ s(time, bs = bs, k = 20), data = mcycle, method = "REML")
  x <- seq(min(mcycle$time), max(mcycle$time), length.out = 2001); X <- predict(m, data.frame(time = x), type = "lpmatrix"); V <- vcov(m)
  band <- function(X) { L <- X %*% t(chol(V)); se <- sqrt(rowSums(L^2)); T <- L / se; kappa <- sum(sqrt(rowSums(diff(T)^2)))
    tube <- function(level) uniroot(function(c) kappa / pi * exp(-c^2 / 2) + 2 * pnorm(-c) - (1 - level), c(0.5, 8), tol = 1e-12)$root
    set.seed(1); sim <- replicate(20, { Z <- matrix(rnorm(ncol(L) * 5000), ncol(L)); apply(abs(T %*% Z), 2, max) })
    list(kappa = kappa, critical_tube = tube(0.95), critical_tube_80 = tube(0.8), critical_tube_99 = tube(0.99), critical_simulated = unname(quantile(sim, 0.95))) }
  at <- c(1, 501, 1001, 1501, 2001); centered <- predict(m, data.frame(time = x[at]), type = "terms", se.fit = TRUE); whole <- predict(m, data.frame(time = x[at]), se.fit = TRUE)
  out$mcycle_band[[bs]] <- c(list(reml = unname(m$gcv.ubre), edf = sum(m$edf) - 1, sigma2 = m$sig2), band(X), list(at = list(x = x[at], value = unname(c(whole$fit)), se = unname(c(whole$se.fit)), value_centered = unname(c(centered$fit)), se_centered = unname(c(centered$se.fit)))))
  half <- which(x >= 20 & x <= 40); out$mcycle_band[[bs]]$from_20_to_40 <- c(list(x_range = range(x[half])), band(X[half, ]))
}
say("bands")
checks <- function(k) { m <- gam(accel ~ s(time, bs = "cr", k = k), data = mcycle, method = "REML"); set.seed(1); a <- k.check(m, n.rep = 10000); list(k = k, k_prime = a[[1, 1]], edf = a[[1, 2]], k_index = a[[1, 3]], p = a[[1, 4]], n_rep = 10000) }
out$basis_check <- list(call = "gam(accel ~ s(time, bs = 'cr', k), method = 'REML'); k.check(n.rep = 10000)", mcycle = lapply(c(5, 8, 12, 20), checks))
say("basis checks")

# ---- 7. Influence: every level left out, refitted to the end; lme4's cooks.distance and dfbetas beside ----
influence_of <- function(m, data, group) { g <- data[[group]]; b <- fixef(m); V <- as.matrix(vcov(m)); X <- getME(m, "X")
  without <- lapply(levels(g), function(l) lmer(formula(m), data[g != l, ], REML = isREML(m), control = ctl))
  B <- t(sapply(without, fixef)); if (length(b) == 1) B <- t(B); dimnames(B) <- NULL; S <- t(sapply(without, function(w) sqrt(diag(as.matrix(vcov(w)))))); if (length(b) == 1) S <- t(S)
  D <- rep(b, each = nrow(B)) - B; i <- influence(m, group, data = data)
  list(call = paste(deparse(formula(m)), collapse = ""), REML = isREML(m), group = group, levels = levels(g), beta_without = B, se_without = unname(S), parameters_without = lapply(without, function(w) as.data.frame(VarCorr(w), order = "lower.tri")$sdcor),
    cooks = rowSums((D %*% solve(V)) * D) / length(b), dfbetas_own_se = unname(D / S), dfbetas_full_se = unname(D / rep(sqrt(diag(V)), each = nrow(B))),
    # lme4 has the levels in another order, dfbetas with the other sign and cooks times (levels - p) / levels; with one coefficient its dfbetas fails
    lme4 = if (length(b) > 1) { o <- match(levels(g), rownames(i[[2]])); stopifnot(!anyNA(o)); list(cooks = unname(cooks.distance(i)[o]), dfbetas = unname(dfbetas(i)[o, ])) }) }
out$influence <- list(note = "cooks: (b - b_i)' V^-1 (b - b_i) / p with V of the whole fit, lme4's has another factor (levels - p) / levels; dfbetas: (b - b_i) / se, with the standard error without the level (own) or with it (full); lme4's has own and b_i - b",
  sleepstudy_REML = influence_of(re, sleep, "subject"), sleepstudy_ML = influence_of(ml, sleep, "subject"),
  trial_rater = local({ m <- lmer(y ~ way + x + (1 | rater) + (1 | item), trial, control = ctl); influence_of(m, trial, "rater") }), dyestuff = influence_of(dr, dyestuff, "batch"))
out$sleepstudy$pearson_332 <- list(days = 0:9, residual_over_sigma = unname(residuals(re)[sleep$subject == "332"]) / sigma(re))
say("influence")

# ---- 8. Quantile residuals: the limits between which the uniform number falls, P(Y < y) and P(Y <= y), at the conditional means ----
limits <- function(m, cdf) list(call = paste(deparse(formula(m)), collapse = ""), lower = unname(cdf(-1)), upper = unname(cdf(0)))
out$quantile_residuals <- list(
  epil_poisson = limits(ep, function(d) ppois(epil$y + d, fitted(ep))), bacteria_logit = limits(ba, function(d) pbinom(bacteria$y + d, 1, fitted(ba))),
  epil_nb2 = limits(nb, function(d) pnbinom(epil$y + d, size = sigma(nb), mu = fitted(nb))))

write(toJSON(out, digits = I(12), auto_unbox = TRUE, pretty = FALSE), "inference.json")
say("written")
