# A test at equal state with edgeR, without any code of the project: the formulas of the docs.
# Rscript edger_offset.R counts.tsv design.tsv ratio.tsv min_log2fc result.tsv
library(edgeR)
args <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.delim(args[1], row.names = 1, check.names = FALSE))
design <- as.matrix(read.delim(args[2]))
ratio <- as.matrix(read.delim(args[3], row.names = 1, check.names = FALSE))
adjusted <- counts / ratio
f <- calcNormFactors(adjusted, lib.size = colSums(adjusted), method = "TMM")
offset <- sweep(log(ratio), 2, log(colSums(adjusted) * f), "+")
y <- scaleOffset(DGEList(counts, norm.factors = f), offset)
y <- estimateDisp(y, design)
fit <- glmQLFit(y, design, robust = TRUE)
res <- if (as.numeric(args[4]) > 0) glmTreat(fit, coef = 2, lfc = as.numeric(args[4])) else
    glmQLFTest(fit, coef = 2)
write.table(topTags(res, n = Inf, sort.by = "none")$table, args[5], sep = "\t", quote = FALSE)
