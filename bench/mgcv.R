# Fit a surface with mgcv's bam, several times; run by bench.py in a process of its own.
#   Rscript mgcv.R CASE ROWS REPEATS ANSWER DATA
# DATA has y, compression and equivalence, ROWS doubles each, from fit.py.
# Its basis is made from 10,000 of the rows, so its criterion is that of slightly other knots.
suppressMessages(library(mgcv))
arguments <- commandArgs(trailingOnly=TRUE)
rows <- as.numeric(arguments[2])
file <- file(arguments[5], "rb")
data <- data.frame(y=readBin(file, "double", rows), compression=readBin(file, "double", rows))
data$equivalence <- readBin(file, "double", rows)
close(file)

peak <- function() { # of this process so far, where the system tells
  status <- tryCatch(readLines("/proc/self/status"), error=function(e) character())
  line <- grep("^VmHWM", status, value=TRUE)
  if (length(line)) as.numeric(gsub("[^0-9]", "", line)) / 2^10 else NA
}

before <- peak()
seconds <- c()
for (i in seq_len(as.integer(arguments[3]))) {
  clock <- Sys.time()
  m <- bam(y ~ t2(compression, equivalence, bs="cr", k=c(5, 8)), data=data, method="REML")
  found <- list(beta=coef(m)[1], sigma=sqrt(m$sig2), theta=1 / sqrt(m$sp), criterion=2 * m$gcv.ubre)
  seconds[i] <- as.numeric(difftime(Sys.time(), clock, units="secs"))
}
numbers <- function(x) {
  text <- ifelse(is.na(x), "null", sprintf("%.17g", x))
  paste0("[", paste(text, collapse=", "), "]")
}
number <- function(x) gsub("[][]", "", numbers(x))
writeLines(sprintf(paste0('{"seconds": %s, "criterion": %s, "beta": %s, "sigma": %s, "theta": %s, ',
    '"before_megabytes": %s, "data_megabytes": %s, "blas_threads": null, ',
    '"versions": {"R": "%s", "mgcv": "%s", "BLAS of R": "%s"}}'),
  numbers(seconds), number(found$criterion), numbers(found$beta), number(found$sigma),
  numbers(found$theta), number(before), number(as.numeric(object.size(data)) / 2^20),
  paste(R.version$major, R.version$minor, sep="."), as.character(packageVersion("mgcv")),
  basename(extSoftVersion()[["BLAS"]])), arguments[4])
