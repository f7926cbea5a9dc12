# Tensor products by R's mgcv and gamm4, to compare the library's with: tensor.json, written to this folder.
# Debian: apt-get install r-base-core r-cran-mgcv r-cran-gamm4 r-cran-jsonlite
# Run from this folder: Rscript make_tensor.R
suppressMessages({library(mgcv); library(gamm4); library(jsonlite)})
out <- list(versions=list(R=R.version.string, mgcv=as.character(packageVersion("mgcv")),
  gamm4=as.character(packageVersion("gamm4")), lme4=as.character(packageVersion("lme4"))))
tight <- gam.control(epsilon=1e-11, newton=list(conv.tol=1e-9, maxNstep=5, maxSstep=2, maxHalf=30, use.svd=FALSE))
record <- function(key, formula, data, new, weights=NULL, method="REML", family=gaussian()) {
  data$weights_ <- if (is.null(weights)) rep(1, nrow(data)) else weights
  environment(formula) <- environment()
  m <- gam(formula, family=family, data=data, weights=weights_, method=method, control=tight)
  of <- sapply(m$smooth, function(s) sum(m$edf[s$first.para:s$last.para]))
  p <- predict(m, data, type="terms", se.fit=TRUE)
  out[[key]] <<- list(call=sprintf("gam(%s, family=%s, method='%s'%s)", paste(deparse(formula), collapse=" "), family$family, method,
      if (is.null(weights)) "" else ", weights=w"), criterion=2 * unname(m$gcv.ubre), sigma=sqrt(m$sig2), edf=of,
    sp=unname(m$sp), intercept=unname(coef(m)[1]), fitted=unname(fitted(m)), predicted=c(unname(predict(m, new, type="response"))),
    term=unname(p$fit[, ncol(p$fit)]), term_se=unname(p$se.fit[, ncol(p$fit)]))
}
ethanol <- data.frame(nox=lattice::ethanol$NOx, compression=lattice::ethanol$C, equivalence=lattice::ethanol$E)
new <- data.frame(compression=c(8, 10.5, 18, 19), equivalence=c(0.5, 0.9, 1.1, 1.3))
record("ethanol", nox ~ t2(compression, equivalence, bs="cr", k=c(5, 8)), ethanol, new)
record("ethanol_ml", nox ~ t2(compression, equivalence, bs="cr", k=c(5, 8)), ethanol, new, method="ML")
ethanol$mirrored <- -ethanol$compression; new$mirrored <- -new$compression
record("ethanol_mirrored", nox ~ t2(mirrored, equivalence, bs="cr", k=c(5, 8)), ethanol, new)
g <- gamm4(nox ~ t2(compression, equivalence, bs="cr", k=c(5, 8)), data=ethanol)
out$ethanol_gamm4 <- list(call="gamm4(nox ~ t2(compression, equivalence, bs='cr', k=c(5, 8)))", criterion=-2 * as.numeric(logLik(g$mer)),
  sigma=sigma(g$mer), sd=unname(sapply(VarCorr(g$mer), function(v) sqrt(v[1]))), fitted=unname(fitted(g$gam)))
ethanol$c <- ethanol$compression
record("ethanol_varying", nox ~ s(equivalence, bs="cr", k=10) + s(equivalence, by=compression, bs="cr", k=10), ethanol, new)

# covariates of very different units, ties, a group and weights
set.seed(12)
n <- 200
wide <- data.frame(x=round(1e4 * rbeta(n, 2, 3)), z=round(rexp(n), 2) / 1000, group=rep(letters[1:10], length.out=n), w=round(runif(n, 0.3, 3), 2))
f <- function(x, z) sin(x / 1500) * exp(-900 * z) + 300 * z + (x / 5000 - 1)^2
wide$y <- round(f(wide$x, wide$z) + 0.3 * rnorm(10)[match(wide$group, letters)] + 0.3 * rnorm(n) / sqrt(wide$w), 4)
wide$count <- rpois(n, exp(1 + 1.5 * f(wide$x, wide$z) + rnorm(10, sd=0.3)[match(wide$group, letters)]))
wide$group <- factor(wide$group)
out$wide_data <- lapply(wide, function(v) if (is.factor(v)) as.character(v) else v)
at <- data.frame(x=c(100, 3000, 6000, 12000), z=c(0.0001, 0.004, 0.002, 0.008), group=c("a", "b", "c", "d"))
out$wide_at <- as.list(at)
record("wide", y ~ t2(x, z, bs="cr", k=c(6, 5)), wide, at)
record("wide_exchanged", y ~ t2(z, x, bs="cr", k=c(5, 6)), wide, at)
record("wide_weights", y ~ t2(x, z, bs="cr", k=c(6, 5)), wide, at, weights=wide$w)
record("wide_group", y ~ s(group, bs="re") + t2(x, z, bs="cr", k=c(6, 5)), wide, at, weights=wide$w)
g <- gamm4(count ~ t2(x, z, bs="cr", k=c(6, 5)), random=~(1 | group), family=poisson, data=wide,
  control=glmerControl(optimizer="bobyqa", optCtrl=list(rhobeg=0.02, rhoend=1e-10, maxfun=1e6), tolPwrss=1e-12, check.conv.singular="ignore"))
out$count_gamm4 <- list(call="gamm4(count ~ t2(x, z, bs='cr', k=c(6, 5)), random=~(1 | group), poisson)", loglik=as.numeric(logLik(g$mer)),
  sd=sapply(VarCorr(g$mer), function(v) sqrt(v[1])), fitted=unname(fitted(g$mer)))

# three covariates
set.seed(13)
n <- 400
three <- data.frame(x=round(runif(n), 3), v=round(10 * runif(n), 2), w=round(rnorm(n), 2))
three$y <- round(sin(5 * three$x) * three$v / 5 + three$w^2 * three$x + 0.3 * cos(three$v) + 0.2 * rnorm(n), 4)
out$three_data <- as.list(three)
inside <- data.frame(x=c(0.1, 0.5, 1.1), v=c(2, 5, 9), w=c(0, -1, 1.5))
out$three_at <- as.list(inside)
record("three", y ~ t2(x, v, w, bs="cr", k=c(4, 5, 3)), three, inside)
write_json(out, "tensor.json", digits=NA, auto_unbox=TRUE, null="null")
