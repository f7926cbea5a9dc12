# Reference results for terms of every kind: surfaces, fields, graphs, varying coefficients, boosting (chapter 12).
# Debian: apt-get install r-base-core r-cran-mgcv r-cran-gamm4 r-cran-nlme r-cran-gstat r-cran-sp r-cran-lattice r-cran-mass r-cran-th.data r-cran-jsonlite
# Run from this folder: Rscript make_terms.R   (writes terms.json here, and ethanol.csv, co2.csv, columbus.csv, columbus_neighbours.csv,
# columbus_polygons.csv, meuse.csv and bodyfat.csv in ../data)
suppressPackageStartupMessages({library(mgcv); library(nlme); library(sp); library(jsonlite)})
packages <- c("mgcv", "gamm4", "lme4", "nlme", "gstat", "sp", "lattice", "MASS", "TH.data")
out <- list(versions = as.list(c(R = R.version.string, sapply(packages, function(p) as.character(packageVersion(p))))))

# ---- Data, with the names of columns that the library has ----
ethanol <- with(lattice::ethanol, data.frame(nox = NOx, compression = C, equivalence = E))
write.csv(ethanol, "../data/ethanol.csv", row.names=FALSE, quote=FALSE)
mcycle <- with(MASS::mcycle, data.frame(time = times, accel = accel))  # mcycle.csv is written by make_inference.R
co2 <- data.frame(month = as.numeric(cycle(co2)), year = as.numeric(time(co2)), co2 = as.numeric(co2))
write.csv(co2, "../data/co2.csv", row.names=FALSE, quote=FALSE)
data(columb, columb.polys, package = "mgcv")
columbus <- with(columb, data.frame(district = district, crime = crime, income = income, home_value = home.value, x = x, y = y))
write.csv(columbus, "../data/columbus.csv", row.names=FALSE, quote=FALSE)
# Two districts are neighbors if their outlines share a point: mgcv's pol2nb. Each pair once, the smaller label first.
near <- mgcv:::pol2nb(columb.polys)$nb
neighbours <- do.call(rbind, lapply(seq_along(near), function(i) if (length(near[[i]])) data.frame(a = names(near)[i], b = names(near)[near[[i]]])))
neighbours <- neighbours[as.integer(neighbours$a) < as.integer(neighbours$b), ]
write.csv(neighbours, "../data/columbus_neighbours.csv", row.names=FALSE, quote=FALSE)
polygons <- do.call(rbind, lapply(names(columb.polys), function(d) data.frame(district = d, x = columb.polys[[d]][, 1], y = columb.polys[[d]][, 2])))
write.csv(polygons, "../data/columbus_polygons.csv", row.names=FALSE, quote=FALSE)
data(meuse, package = "sp")
meuse <- with(meuse, data.frame(x = x, y = y, zinc = zinc, distance = dist))
write.csv(meuse, "../data/meuse.csv", row.names=FALSE, quote=FALSE)
data(bodyfat, package = "TH.data")
bodyfat <- setNames(bodyfat, tolower(names(bodyfat)))
write.csv(bodyfat, "../data/bodyfat.csv", row.names=FALSE, quote=FALSE)

# ---- What is kept of a fit by gam ----
# `reml` is minus the restricted log-likelihood; `edf` has one number for each smooth; `at` has each smooth by itself at new points.
kept <- function(m, at) {
  terms <- predict(m, at, type = "terms", se.fit = TRUE)
  list(call = paste(deparse(formula(m), width.cutoff = 500), collapse = ""), reml = unname(m$gcv.ubre), edf = I(sapply(m$smooth, function(s) sum(m$edf[s$first.para:s$last.para]))),
    sigma2 = m$sig2, sp = I(unname(m$sp)), coef_parametric = I(unname(coef(m)[seq_len(m$nsdf)])), fitted = unname(c(fitted(m))),
    at = c(as.list(at), list(mean = unname(c(predict(m, at))), value = I(unname(t(terms$fit))), se = I(unname(t(terms$se.fit))))))
}
# the search for the smoothing parameters goes on where gam would stop: its default leaves them with five digits
tight <- gam.control(epsilon = 1e-12, newton = list(conv.tol = 1e-12))
reml <- function(formula, data, at, ...) kept(gam(formula, data = data, method = "REML", control = tight, ...), at)

# ---- Ethanol: a varying coefficient, and a surface ----
new_engine <- data.frame(compression = c(8, 9.5, 12, 16, 18), equivalence = c(0.6, 0.75, 0.9, 1.05, 1.2))
out$ethanol <- list(
  varying = reml(nox ~ s(equivalence, bs = "cr", k = 10) + s(equivalence, by = compression, bs = "cr", k = 10), ethanol, new_engine),
  t2 = reml(nox ~ t2(compression, equivalence, bs = "cr", k = c(5, 8)), ethanol, new_engine),
  tp = reml(nox ~ s(equivalence, bs = "tp", k = 10), ethanol, new_engine),
  tp2 = reml(nox ~ s(compression, equivalence, bs = "tp", k = 30), ethanol, new_engine))
g <- gamm4::gamm4(nox ~ t2(compression, equivalence, bs = "cr", k = c(5, 8)), data = ethanol)
# the variances are named Xr, Xr.0 and Xr.1, and VarCorr has them in another order
sd <- sapply(lme4::VarCorr(g$mer), function(v) unname(sqrt(v[1, 1])))
out$ethanol$t2_gamm4 <- list(reml_criterion = as.numeric(-2 * logLik(g$mer)), sigma = sigma(g$mer), sd = as.list(sd), fitted = unname(c(fitted(g$gam))))

# ---- Motorcycle: one covariate ----
new_time <- data.frame(time = c(5, 17.2, 21, 33, 50))
out$mcycle <- list(
  tp20 = reml(accel ~ s(time, bs = "tp", k = 20), mcycle, new_time),
  gp = reml(accel ~ s(time, bs = "gp", k = 20, m = c(3, 10)), mcycle, new_time))  # Matern, nu = 3/2, range 10 ms

# ---- Mauna Loa: trend and season ----
out$co2 <- list(season = reml(co2 ~ s(year, bs = "cr", k = 20) + s(month, bs = "cc", k = 12), co2, data.frame(year = c(1960.04, 1975.5, 1997.9), month = c(1.5, 6, 12.4)), knots = list(month = c(0.5, 12.5))))

# ---- Columbus: a Markov random field ----
columb$district <- factor(columb$district, levels = names(columb.polys))
out$columbus <- list(districts = nrow(columbus), edges = nrow(neighbours),
  mrf = reml(crime ~ s(district, bs = "mrf", xt = list(polys = columb.polys)), columb, data.frame(district = factor(c("0", "1", "20", "48"), levels = levels(columb$district)))))

# ---- Meuse: a Gaussian process, and kriging ----
exact <- glsControl(tolerance = 1e-10, msTol = 1e-12, msMaxIter = 500, maxIter = 500)
m <- gls(log(zinc) ~ sqrt(distance), meuse, correlation = corExp(c(200, 0.25), form = ~ x + y, nugget = TRUE), method = "REML", control = exact)
rho <- coef(m$modelStruct$corStruct, unconstrained = FALSE)
gls_kept <- function(m) list(sigma = m$sigma, loglik = as.numeric(logLik(m)), beta = unname(coef(m)), se = unname(sqrt(diag(vcov(m)))))
out$meuse <- list(gls_exp = c(list(range = rho[[1]], nugget_share = rho[[2]]), gls_kept(m)))
field <- meuse; coordinates(field) <- ~ x + y
places <- data.frame(x = c(179500, 180500, 181000), y = c(331000, 332000, 333000), distance = c(0.2, 0.1, 0.3))
at <- places; coordinates(at) <- ~ x + y
v <- gstat::vgm((1 - rho[[2]]) * m$sigma^2, "Exp", rho[[1]], rho[[2]] * m$sigma^2)
k <- gstat::krige(log(zinc) ~ sqrt(distance), field, at, v, debug.level = 0)
out$meuse$universal_kriging <- c(as.list(places), list(prediction = k$var1.pred, variance = k$var1.var, note = "variance includes the nugget: of a new observation"))

# ---- Body fat: boosting ----
# mboost is not run here; its tutorial prints these four
out$bodyfat <- list(source = "Hofner, Mayr, Robinzonov and Schmid (2014), Computational Statistics 29, 3-35: glmboost(DEXfat ~ hipcirc + kneebreadth + anthro3a), nu 0.1, 100 steps",
  intercept = -75.207, hipcirc = 0.511, kneebreadth = 1.901, anthro3a = 8.907)

write(toJSON(out, digits = NA, auto_unbox = TRUE), "terms.json")
