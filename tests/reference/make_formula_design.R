# Design matrices of R's model.matrix, to compare those of formulas with: formula_design.json,
# written to this folder. Debian: apt-get install r-base-core r-cran-jsonlite
# Run from a copy of this folder: Rscript make_formula_design.R
suppressMessages(library(jsonlite))
set.seed(1992)
n <- 24
data <- data.frame(x=round(rnorm(n), 3), z=round(runif(n, -2, 5), 3), w=round(rexp(n) + 0.1, 3),
  f=sample(c("a", "b", "c"), n, TRUE), g=rep(c("p", "q"), n / 2), h=sample(c("u", "v", "w"), n, TRUE),
  k=sample(c(2, 5, 10), n, TRUE))
new <- data.frame(x=c(-1.5, 0, 4), z=c(6, 0.5, -3), w=c(0.2, 1, 9), f=c("c", "a", "b"), g=c("q", "q", "p"),
  h=c("u", "w", "v"), k=c(10, 2, 5))
# by hand: each rule once; the rest were drawn at random, with 300 others
formulas <- c(
  "x", "f", "0 + f", "f - 1", "0 + f + g", "0 + x + f", "x:f", "0 + x:f", "x + x:f", "0 + x + x:f",
  "f:g", "g + f:g", "f/g", "f:x:g", "x + f:x:g", "x:z + x:f", "f:g + h:f", "f + g + f:g - f", "(f + g + x)^2",
  "(x + z + w)^3 - x:z:w", "(f + g)/x", "f/(x + g)", "g * f:x", "poly(x, 2) * g", "g:poly(z, 3)",
  "scale(z) + log(w/2 + 1)", "factor(k) * x", "I(-x^2) + I((x + z)/2)", "poly(w, 2, raw=TRUE) + exp(x/3)",
  "x/z + h + x * g + h + x + g", "exp(x/3) + (z * f) + g * (g * h)", "z + (g * x):(h * g)",
  "f * (g/scale(z)) + f", "((h + g)^2):(log(w):z)", "0 + x * h + z + scale(z):z", "x + (f + I(x^2))^3 + f + z",
  "((f + h)^2)/f + h * g + (log(w))", "(x:scale(z))/g - 1", "(h + x):(g + factor(k))",
  "(z:z + factor(k) + poly(x, 2))^2 - 1", "0 + (z * x):(f + x) + x", "log(w) + I(x^2) + h + x * scale(z) + z * scale(z) - 1",
  "f:scale(z) + (g + x)^3", "0 + x + x * h + x + factor(k)")
matrix_of <- function(m) unname(apply(m, 2, identity, simplify=FALSE))
case <- function(text) {
  frame <- model.frame(as.formula(paste("~", text)), data)
  X <- model.matrix(attr(frame, "terms"), frame)
  new_frame <- model.frame(attr(frame, "terms"), new, xlev=.getXlevels(attr(frame, "terms"), frame))
  list(formula=text, names=colnames(X), columns=matrix_of(X),
    new=matrix_of(model.matrix(attr(frame, "terms"), new_frame)))
}
out <- list(origin=list(R=R.version.string, call="model.matrix(formula, data), and at new with the terms of data"),
  data=as.list(data), new=as.list(new), designs=lapply(formulas, case))
out$origin <- lapply(out$origin, unbox)
out$designs <- lapply(out$designs, function(d) { d$formula <- unbox(d$formula); d })
write_json(out, "formula_design.json", digits=I(15))
