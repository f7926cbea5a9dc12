# Thin plate splines, Gaussian processes and cyclic splines by R's mgcv, and kriging by gstat, to compare the
# library's with: surfaces.json, written to this folder.
# Debian: apt-get install r-base-core r-cran-mgcv r-cran-gstat r-cran-sp r-cran-jsonlite
# Run from a copy of this folder: Rscript make_surfaces.R
suppressMessages({library(mgcv); library(jsonlite); library(sp); library(gstat)})
out <- list(versions=list(R=R.version.string, mgcv=as.character(packageVersion("mgcv")), gstat=as.character(packageVersion("gstat"))))
tight <- gam.control(epsilon=1e-11, newton=list(conv.tol=1e-9, maxNstep=5, maxSstep=2, maxHalf=30, use.svd=FALSE))

# places with ties, other places, some of them outside; a factor, weights, and an hour of the day
set.seed(5)
n <- 120
d <- data.frame(x=round(rnorm(n, 50, 20), 1), y=round(1000 * rbeta(n, 2, 2) / 7), z=round(runif(n), 2), site=rep(c("a", "b"), n / 2),
  w=round(runif(n, 0.3, 3), 2), hour=round(runif(n, 0, 24), 1))
d[81:100, c("x", "y", "z")] <- d[1:20, c("x", "y", "z")]
d$f <- round(sin(d$x / 12) + (d$y / 60 - 1)^2 + d$z * d$x / 50 + cos(d$hour / 12 * pi) + rnorm(n, sd=0.4) / sqrt(d$w), 4)
at <- data.frame(x=c(10, 44.4, 80, 130), y=c(70, 20, 100, 160), z=c(0.5, 0.25, 1, -0.2), site=c("a", "b", "a", "b"), hour=c(0, 3.3, 12, 24))
out$data <- as.list(d); out$at <- as.list(at)
d$site <- factor(d$site); at$site <- factor(at$site)
record <- function(key, formula, method="REML", weights=rep(1, n), knots=NULL) {
  environment(formula) <- environment()
  m <- gam(formula, data=d, method=method, weights=weights, knots=knots, control=tight)
  p <- predict(m, at, se.fit=TRUE)
  out[[key]] <<- list(call=sprintf("gam(%s, method='%s')", paste(deparse(formula), collapse=""), method), criterion=2 * unname(m$gcv.ubre),
    edf=sapply(m$smooth, function(s) sum(m$edf[s$first.para:s$last.para])), sigma=sqrt(m$sig2), fitted=unname(fitted(m)),
    predicted=as.vector(p$fit), se=as.vector(p$se.fit))
}
record("tp_1", f ~ s(y, bs="tp", k=12))
record("tp_2", f ~ s(x, y, bs="tp", k=15))
record("tp_2_ml", f ~ s(x, y, bs="tp", k=15), method="ML")
record("tp_2_weights", f ~ s(x, y, bs="tp", k=30), weights=d$w)
record("tp_3", f ~ s(x, y, z, bs="tp", k=24))
record("tp_levels", f ~ site + s(x, y, by=site, bs="tp", k=12))
record("gp_spherical", f ~ s(x, y, bs="gp", k=20, m=c(1, 60)))
record("gp_exponential", f ~ s(x, y, z, bs="gp", k=25, m=c(2, 40)))
record("gp_matern32", f ~ s(x, y, bs="gp", k=20, m=c(3, 15)))
record("gp_1", f ~ s(x, bs="gp", k=12, m=c(3, 5)))
record("cc_period", f ~ s(hour, bs="cc", k=9), knots=list(hour=c(0, 24)))
record("together", f ~ s(x, y, bs="tp", k=20) + s(z, bs="cr", k=5) + s(hour, bs="cc", k=8), knots=list(hour=c(0, 24)))

# ordinary kriging at given variances: a process without trend beside an intercept
k <- d[!duplicated(d[, c("x", "y")]), ]; coordinates(k) <- ~ x + y
new <- at; coordinates(new) <- ~ x + y
for (model in c("Exp", "Sph", "Gau")) {
  p <- krige(f ~ 1, k, new, vgm(0.5, model, 30, 0.2), debug.level=0)
  out[[paste0("krige_", model)]] <- list(call=sprintf("krige(f ~ 1, data without doubles, at, vgm(0.5, '%s', 30, 0.2))", model), prediction=p$var1.pred, variance=p$var1.var)
}
write_json(out, "surfaces.json", digits=NA, auto_unbox=TRUE)
