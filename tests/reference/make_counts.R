# Reference for the Poisson model of source 3, cell 14. Run: Rscript make_counts.R (writes counts.json)
# R 4.2.2, lme4 1.1.31, jsonlite.
# The source prints estimates and no counts. The sums of the counts of each subject, and their sums
# weighted by days, follow from the estimates (chapter 11), and the likelihood depends on no more up
# to a constant. Here are counts that have these sums.
suppressMessages({library(lme4); library(jsonlite)})
sums    <- c( 5,  21,  28, 1,  442,  26,  9,  9,  89, 1, 16, 16,  4, 10,  3, 2,  32,  6)
by_days <- c(24, 132, 128, 1, 3300, 163, 49, 52, 591, 0, 86, 92, 14, 28, 11, 4, 213, 29)
d <- expand.grid(days = 0:9, subject = 1:18)
first <- by_days %/% sums; rest <- by_days %% sums; row <- (0:17) * 10 + first + 1
d$y <- 0
d$y[row] <- sums - rest
d$y[row[rest > 0] + 1] <- rest[rest > 0]
stopifnot(tapply(d$y, d$subject, sum) == sums, tapply(d$y * d$days, d$subject, sum) == by_days)

# lme4: it ends on the boundary, theta_3 = 0
m <- suppressMessages(glmer(y ~ days + (days | subject), d, poisson, control = glmerControl(
  optimizer = "bobyqa", tolPwrss = 1e-12, optCtrl = list(rhoend = 1e-10, maxfun = 1e5))))

# Laplace deviance from its definition, each subject's mode by Newton to the last digit. (lme4 takes
# log|L|^2 from the step before the last of its inner loop, and so ends 5.9e-8 too high.)
laplace <- function(theta, beta) {
  b <- matrix(0, 18, 2); deviance <- 0
  for (i in 1:18) {
    y <- d$y[d$subject == i]; X <- cbind(1, 0:9)
    ZT <- X %*% matrix(c(theta[1:2], 0, theta[3]), 2); fixed <- drop(X %*% beta)
    g <- function(u) sum(dpois(y, exp(fixed + drop(ZT %*% u)), log = TRUE)) - sum(u^2) / 2
    u <- c(0, 0)
    for (k in 1:100) {
      mu <- exp(fixed + drop(ZT %*% u)); H <- crossprod(ZT, mu * ZT) + diag(2)
      step <- drop(solve(H, crossprod(ZT, y - mu) - u))
      while (max(abs(step)) > 1e-9 && g(u + step) < g(u)) step <- step / 2
      u <- u + step
      if (max(abs(step)) < 1e-14) break
    }
    mu <- exp(fixed + drop(ZT %*% u)); H <- crossprod(ZT, mu * ZT) + diag(2)
    deviance <- deviance - 2 * g(u) + as.numeric(determinant(H)$modulus)
    b[i, ] <- matrix(c(theta[1:2], 0, theta[3]), 2) %*% u
  }
  list(deviance = deviance, b = b)
}

# Newton's steps in theta_1, theta_2 and beta, from lme4's optimum
x <- c(getME(m, "theta")[1:2], fixef(m)); h <- 2e-4 * diag(4); h2 <- 1e-3 * diag(4)
f <- function(x) laplace(c(x[1:2], 0), x[3:4])$deviance
for (round in 1:4) {
  g <- sapply(1:4, function(j) (8 * (f(x + h[j, ]) - f(x - h[j, ])) - f(x + 2 * h[j, ]) + f(x - 2 * h[j, ])) / 2.4e-3)
  H <- sapply(1:4, function(j) sapply(1:4, function(k) (f(x + h2[j, ] + h2[k, ]) - f(x + h2[j, ] - h2[k, ])
    - f(x - h2[j, ] + h2[k, ]) + f(x - h2[j, ] - h2[k, ])) / 4e-6))
  step <- -solve(H, g); x <- x + step; cat(max(abs(step)), '')
}
stopifnot(max(abs(step)) < 1e-10, f(x) < laplace(c(x[1:2], 0.01), x[3:4])$deviance)
best <- laplace(c(x[1:2], 0), x[3:4])
write_json(list(
  source3_poisson_laplace = list(software = "R 4.2.2, the script's own code, from lme4's optimum",
    formula = "y ~ days + (days | subject)", theta = c(x[1:2], 0), beta = unname(x[3:4]),
    ranef = c(t(best$b)), deviance = best$deviance),
  source3_poisson_lme4 = list(software = "lme4 1.1.31", formula = "y ~ days + (days | subject)",
    theta = unname(getME(m, "theta")), beta = unname(fixef(m)), ranef = c(t(as.matrix(ranef(m)$subject))),
    loglik = as.numeric(logLik(m)))), "counts.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
