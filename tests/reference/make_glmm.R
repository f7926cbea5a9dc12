# Reference results for counts and proportions, computed by R's lme4 and gamm4.
# Debian: apt-get install r-base-core r-cran-lme4 r-cran-gamm4 r-cran-mass r-cran-jsonlite
# Run from this folder: Rscript make_glmm.R   (writes glmm.json here)
suppressMessages({library(lme4); library(gamm4); library(jsonlite)})
control <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-10, maxfun = 1e6),
                        tolPwrss = 1e-12, check.conv.singular = "ignore")
out <- list(versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4")),
                            gamm4 = as.character(packageVersion("gamm4")), mgcv = as.character(packageVersion("mgcv"))))
record <- function(key, m, ...) {
  out[[key]] <<- list(software = "lme4", call = paste(deparse(formula(m)), collapse = " "), loglik = as.numeric(logLik(m)),
    beta = unname(fixef(m)), se = unname(sqrt(diag(as.matrix(vcov(m))))), theta = unname(getME(m, "theta")),
    ranef = lapply(ranef(m, condVar = FALSE), function(r) as.list(r)),
    cond_var = lapply(ranef(m, condVar = TRUE), function(r) { v <- attr(r, "postVar"); if (is.list(v)) lapply(v, c) else c(v) }),
    pearson = unname(resid(m, "pearson")), ...)
}
data(cbpp); data(grouseticks); data(epil, package = "MASS")
out$cbpp <- lapply(cbpp, function(v) if (is.factor(v)) as.character(v) else v)
record("cbpp_laplace", glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, control = control))
record("cbpp_agq9", glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, nAGQ = 9, control = control))
ticks <- grouseticks[, c("TICKS", "YEAR", "HEIGHT", "BROOD", "INDEX", "LOCATION")]
ticks$HEIGHT <- (ticks$HEIGHT - 460) / 50
out$ticks <- lapply(ticks, function(v) if (is.factor(v)) as.character(v) else v)
record("ticks_laplace", glmer(TICKS ~ YEAR + HEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION), ticks, poisson, control = control))
epil$lage <- epil$lage - mean(epil$lage)
record("epil_slope", glmer(y ~ lbase + trt + period + (period | subject), epil, poisson, control = control))
record("epil_independent", glmer(y ~ lbase + trt + period + (period || subject), epil, poisson, control = control))
record("epil_offset", glmer(y ~ trt + (1 | subject), epil, poisson, offset = lbase, control = control))
epil$seizure <- as.numeric(epil$y > 4)
record("epil_bernoulli", glmer(seizure ~ lbase + trt + (1 | subject), epil, binomial, control = control))
record("epil_bernoulli_agq25", glmer(seizure ~ lbase + trt + (1 | subject), epil, binomial, nAGQ = 25, control = control))
set.seed(1)
g <- gamm4(y ~ trt + s(base, bs = "cr", k = 8), random = ~ (1 | subject), data = epil, family = poisson, control = control)
out$epil_gamm <- list(software = "gamm4", call = "y ~ trt + s(base, bs = 'cr', k = 8), random = ~(1 | subject)", loglik = as.numeric(logLik(g$mer)),
  beta = unname(fixef(g$mer)), theta = unname(getME(g$mer, "theta")), fitted = unname(fitted(g$mer)), sd = sapply(VarCorr(g$mer), function(v) sqrt(v[1])))
write(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = FALSE), "glmm.json")
