# Spline bases of R's mgcv, to compare the library's with: bases.json, written to this folder.
# Debian: apt-get install r-base-core r-cran-mgcv r-cran-lme4 r-cran-jsonlite
# Run from a copy of this folder: Rscript make_bases.R
suppressMessages({library(mgcv); library(jsonlite)})
data(sleepstudy, package="lme4")
volvo <- data.frame(y=c(4.0,4.2,2.5,2.6,2.8,2.4,3.2,2.4,2.6,4.8,2.9,3.8,3.0,2.7,3.1,3.3,3.0,2.8,1.7),
  x=c(1.42,1.58,1.78,1.99,1.99,1.99,2.13,2.13,2.13,2.32,2.32,2.32,2.32,2.32,2.43,2.43,2.78,2.98,2.98))
sleep <- data.frame(y=sleepstudy$Reaction, x=sleepstudy$Days)
out <- list(origin=list(R=R.version.string, mgcv=as.character(packageVersion("mgcv")),
  call="smoothCon(s(x, bs=bs, k=k), data, absorb.cons=absorbed, scale.penalty=TRUE); PredictMat at at; fit: predict(gam(y ~ s(x, bs=bs, k=k, sp=0.5), data=data), at)"))
case <- function(key, data, bs, k, at) {
  new <- data.frame(x=at)
  one <- function(absorbed) {
    sm <- smoothCon(s(x, bs=bs, k=k), data, absorb.cons=absorbed, scale.penalty=TRUE)[[1]]
    list(X=PredictMat(sm, new), S=sm$S[[1]], scale=sm$S.scale, rank=sm$rank,
      knots=if (is.null(sm$xp)) sm$knots else unname(sm$xp))
  }
  raw <- one(FALSE); absorbed <- one(TRUE)
  g <- gam(as.formula(sprintf("y ~ s(x, bs='%s', k=%d, sp=0.5)", bs, k)), data=data)
  out[[key]] <<- list(bs=bs, k=k, x=data$x, y=data$y, at=at, knots=raw$knots, scale=raw$scale, rank=raw$rank, X=raw$X, S=raw$S,
    X_absorbed=absorbed$X, S_absorbed=absorbed$S, edf=sum(g$edf), fit=c(unname(predict(g, new))))
}
# The 9 distinct values of volvo are all knots; those of sleep lie at knots and between them, and with
# k = 7 (and 10, not 6) the order of the two straight lines of cs comes out as the library fixes it: see below.
# x of the data, between, at knots, and outside (ps: inside only)
at <- list(volvo=c(sort(unique(volvo$x)), 1.5, 2.0, 2.4, 2.9), sleep=c(0:9, 0.25, 4.5, 7.75))
beyond <- list(volvo=c(1.2, 3.3), sleep=c(-3, 9.5, 14))
for (bs in c("cr", "cs", "cc", "ps")) for (set in c("volvo", "sleep"))
  case(paste(set, bs, sep="_"), get(set), bs, if (set == "volvo") 9 else 7, if (bs == "ps") at[[set]] else c(at[[set]], beyond[[set]]))
# the two straight lines of cs: which of them mgcv's eigenvectors put first is left to rounding errors
set.seed(1)
first <- replicate(200, { e <- eigen(smoothCon(s(x, bs="cr", k=10), data.frame(x=runif(100)), scale.penalty=FALSE)[[1]]$S[[1]], symmetric=TRUE)$vectors
  v <- abs(e[1, 9:10]) < 1e-6; c(v[1] && !v[2], v[2] && !v[1]) })
out$cs_order <- list(what="in 200 samples of runif(100), how often the line that is zero at the first knot comes first (gets 0.1), and second",
  first=sum(first[1, ]), second=sum(first[2, ]))
write_json(out, "bases.json", digits=NA, auto_unbox=TRUE, matrix="rowmajor", null="null")
