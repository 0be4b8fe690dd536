# An edgeR analysis as its user's guide writes it, without any code of the project.
# Rscript edger.R counts.tsv design.tsv result.tsv
library(edgeR)
args <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.delim(args[1], row.names = 1, check.names = FALSE))
design <- as.matrix(read.delim(args[2]))
y <- DGEList(counts)
y <- y[filterByExpr(y, design), , keep.lib.sizes = FALSE]
y <- calcNormFactors(y, method = "TMM")
y <- estimateDisp(y, design)
fit <- glmQLFit(y, design, robust = TRUE)
res <- glmQLFTest(fit, coef = 2)
tab <- topTags(res, n = Inf, sort.by = "none")$table
tab$mean_case <- rowMeans(cpm(y)[, design[, 2] == 1]) / 100
write.table(tab, args[3], sep = "\t", quote = FALSE)
