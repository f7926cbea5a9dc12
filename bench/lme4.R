# Fit one case with lme4, several times; run by bench.py in a process of its own.
#   Rscript lme4.R CASE ROWS REPEATS ANSWER DATA
# DATA has y, x and the group of the simulated cases, ROWS doubles each, from fit.py.
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly=TRUE)
case <- arguments[1]
rows <- as.numeric(arguments[2])
if (case == "sleepstudy") {
  data <- sleepstudy
  formula <- Reaction ~ Days + (Days | Subject)
} else if (case == "insteval" || case == "insteval-dept") {
  data <- InstEval
  formula <- if (case == "insteval") y ~ service + (1 | s) + (1 | d) else
    y ~ service + (1 | s) + (1 | d) + (1 | dept)
} else if (case == "epil") {
  data <- MASS::epil
  formula <- y ~ lbase + trt + (1 | subject)
} else {
  file <- file(arguments[5], "rb")
  data <- data.frame(y=readBin(file, "double", rows), x=readBin(file, "double", rows))
  data$g <- factor(readBin(file, "double", rows))
  close(file)
  formula <- if (case == "bernoulli") y ~ x + (1 | g) else y ~ x + (x | g)
}
family <- switch(case, epil=poisson, bernoulli=binomial)
REML <- case != "insteval-dept"

peak <- function() { # of this process so far, where the system tells
  status <- tryCatch(readLines("/proc/self/status"), error=function(e) character())
  line <- grep("^VmHWM", status, value=TRUE)
  if (length(line)) as.numeric(gsub("[^0-9]", "", line)) / 2^10 else NA
}

before <- peak()
seconds <- c()
for (i in seq_len(as.integer(arguments[3]))) {
  clock <- Sys.time()
  m <- if (is.null(family)) lmer(formula, data, REML=REML) else glmer(formula, data, family)
  found <- list(beta=fixef(m), sigma=sigma(m), theta=getME(m, "theta"), criterion=
    if (!is.null(family)) -2 * as.numeric(logLik(m)) else if (REML) REMLcrit(m) else deviance(m))
  seconds[i] <- as.numeric(difftime(Sys.time(), clock, units="secs"))
}
numbers <- function(x) {
  text <- ifelse(is.na(x), "null", sprintf("%.17g", x))
  paste0("[", paste(text, collapse=", "), "]")
}
number <- function(x) gsub("[][]", "", numbers(x))
writeLines(sprintf(paste0('{"seconds": %s, "criterion": %s, "beta": %s, "sigma": %s, "theta": %s, ',
    '"before_megabytes": %s, "data_megabytes": %s, "blas_threads": null, ',
    '"versions": {"R": "%s", "lme4": "%s", "BLAS of R": "%s"}}'),
  numbers(seconds), number(found$criterion), numbers(found$beta), number(found$sigma),
  numbers(found$theta), number(before), number(as.numeric(object.size(data)) / 2^20),
  paste(R.version$major, R.version$minor, sep="."), as.character(packageVersion("lme4")),
  basename(extSoftVersion()[["BLAS"]])), arguments[4])
