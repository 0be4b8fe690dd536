"""What a step of scVI on the CPU computes with counts, compiled: only non-zeros need lgamma.

All arrays are float32, as scvi-tools computes. Work is split into as many blocks as there are
threads, so that the sums, and with them the last digits, depend on the number of threads only.
"""

import math

import numba
import numpy as np
from numpy import float32, int32

# The threads of OpenMP spin while they wait, and would take the processor from those of torch.
numba.config.THREADING_LAYER = "workqueue"
# As in scvi-tools' `log_nb_positive`.
EPS = 1e-8
# Sums may be taken in any order, so that they are computed several at a time.
FAST = {"fastmath": True, "cache": True}
LOG2_E, LN2_HIGH, LN2_LOW = float32(1.44269504), float32(0.693359375), float32(-2.12194440e-4)
SQRT_2 = float32(1.41421356)


@numba.njit(**FAST)
def exp(x):
    """e^x, -87 <= x <= 88 (Cephes `expf`; relative error 1.2e-7). Unlike libm's, it vectorises."""
    whole = np.floor(x * LOG2_E + float32(0.5))
    r = x - whole * LN2_HIGH - whole * LN2_LOW
    p = float32(1.9875691500e-4)
    p = p * r + float32(1.3981999507e-3)
    p = p * r + float32(8.3334519073e-3)
    p = p * r + float32(4.1665795894e-2)
    p = p * r + float32(1.6666665459e-1)
    p = p * r + float32(5.0000001201e-1)
    power = np.int32((int32(whole) + int32(127)) << int32(23)).view(np.float32)
    return (p * r * r + r + float32(1)) * power


@numba.njit(**FAST)
def log1p(x):
    """log(1 + x) for x >= 0 (Cephes `logf`), without loss of digits where x is small."""
    bits = np.float32(float32(1) + x).view(np.int32)
    power = (bits >> int32(23)) - int32(127)
    m = np.int32((bits & int32(0x7FFFFF)) | int32(0x3F800000)).view(np.float32)
    if m > SQRT_2:
        m *= float32(0.5)
        power += int32(1)
    r = m - float32(1)
    if x < float32(0.41421356):
        r, power = x, int32(0)
    p = float32(7.0376836292e-2)
    p = p * r + float32(-1.1514610310e-1)
    p = p * r + float32(1.1676998740e-1)
    p = p * r + float32(-1.2420140846e-1)
    p = p * r + float32(1.4249322787e-1)
    p = p * r + float32(-1.6668057665e-1)
    p = p * r + float32(2.0000714765e-1)
    p = p * r + float32(-2.4999993993e-1)
    p = p * r + float32(3.3333331174e-1)
    square = r * r
    tail = p * r * square + float32(power) * LN2_LOW - float32(0.5) * square
    return r + tail + float32(power) * LN2_HIGH


@numba.njit(cache=True)
def observe(theta, count, odds):
    """What a count adds to a zero's loss: count log(odds) - lgamma(theta + count) + lgamma(theta).

    Returns it with the difference of digamma(theta + count) and digamma(theta).
    """
    if count <= 16 and count == math.floor(count):
        product, slope = 1.0, 0.0
        for step in range(int(count)):
            product *= odds / (theta + step)
            slope += 1.0 / (theta + step)
        return math.log(product), slope
    upper, lower = stirling(theta + count), stirling(theta)
    return count * math.log(odds) - upper[0] + lower[0], upper[1] - lower[1]


@numba.njit(cache=True)
def stirling(z):
    """lgamma(z) and digamma(z), z > 0 (Abramowitz and Stegun 6.1.41 and 6.3.18)."""
    product, slope = 1.0, 0.0
    while z < 8.0:
        product *= z
        slope += 1.0 / z
        z += 1.0
    inverse = 1.0 / z
    square = inverse * inverse
    gamma = (z - 0.5) * math.log(z) - z + 0.9189385332046727
    gamma += inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    digamma = math.log(z) - 0.5 * inverse
    digamma -= square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return gamma - math.log(product), digamma - slope


@numba.njit(parallel=True, **FAST)
def negative_binomial(logits, depth, theta, starts, genes, counts, n_blocks):
    """Loss of each cell under scVI's negative binomial, and its gradients.

    The mean of a gene is the cell's depth times the softmax of its logits.

    Parameters
    ----------
    logits
        (cells, genes); replaced by the gradients of the cells' losses.
    depth
        Counts of each cell.
    theta
        Inverse dispersion of each gene.
    starts, genes, counts
        The observed counts, cells x genes in CSR form.
    n_blocks
        Blocks of cells, one for each thread.

    Returns
    -------
    tuple
        The losses (cells) without the lgamma(count + 1) that no parameter changes; and the gradient
        of their sum by theta (genes).
    """
    n_cells, n_genes = logits.shape
    losses = np.zeros(n_cells)
    slopes = np.zeros((n_blocks, n_genes), np.float32)
    eps = float32(EPS)
    for block in numba.prange(n_blocks):
        slope = slopes[block]
        share = np.empty(n_genes, np.float32)
        for cell in range(block * n_cells // n_blocks, (block + 1) * n_cells // n_blocks):
            row = logits[cell]
            highest = row.max()
            total = float32(0)
            for gene in range(n_genes):
                # Below, a float32 has no digits left beside the highest.
                value = exp(max(row[gene] - highest, float32(-87)))
                share[gene] = value
                total += value
            scale = float32(1) / total
            loss, balance = float32(0), float32(0)
            for gene in range(n_genes):
                share[gene] *= scale
                ratio = depth[cell] * share[gene] / theta[gene]
                log_ratio = log1p(ratio)
                of_mean = ratio / (float32(1) + ratio)
                loss += theta[gene] * log_ratio
                slope[gene] += log_ratio - of_mean
                row[gene] = theta[gene] * of_mean
                balance += row[gene]
            more = 0.0
            for entry in range(starts[cell], starts[cell + 1]):
                gene, count = genes[entry], counts[entry]
                mean = depth[cell] * share[gene]
                both = theta[gene] + mean + eps
                odds = float(both) / float(mean + eps)
                part, digamma = observe(float(theta[gene]), float(count), odds)
                more += part
                change = count * (mean / both - mean / (mean + eps))
                row[gene] += change
                balance += change
                slope[gene] += count / both - float32(digamma)
            for gene in range(n_genes):
                row[gene] -= share[gene] * balance
            losses[cell] = loss + more
    return losses, slopes.sum(axis=0)


@numba.njit(parallel=True, **FAST)
def multiply(starts, cells, values, weights, out, n_blocks):
    """Add counts (cells x genes, CSC) times weights (genes, nodes) to out (cells, nodes)."""
    n_nodes = weights.shape[1]
    for block in numba.prange(n_blocks):
        first, last = block * n_nodes // n_blocks, (block + 1) * n_nodes // n_blocks
        for gene in range(len(starts) - 1):
            weight = weights[gene, first:last]
            for entry in range(starts[gene], starts[gene + 1]):
                row, value = out[cells[entry], first:last], values[entry]
                for node in range(last - first):
                    row[node] += value * weight[node]


@numba.njit(parallel=True, **FAST)
def multiply_transposed(starts, cells, values, gradient, out, n_blocks):
    """Write counts, transposed, times gradient (cells, nodes) to out (genes, nodes)."""
    n_genes, n_nodes = len(starts) - 1, gradient.shape[1]
    for block in numba.prange(n_blocks):
        for gene in range(block * n_genes // n_blocks, (block + 1) * n_genes // n_blocks):
            row = out[gene]
            row[:] = float32(0)
            for entry in range(starts[gene], starts[gene + 1]):
                of_cell, value = gradient[cells[entry]], values[entry]
                for node in range(n_nodes):
                    row[node] += value * of_cell[node]


@numba.njit(cache=True)
def log_factorials(starts, counts):
    """Sum of lgamma(count + 1) over the counts of each cell."""
    sums = np.zeros(len(starts) - 1)
    for cell in range(len(sums)):
        for entry in range(starts[cell], starts[cell + 1]):
            if counts[entry] != 1:
                sums[cell] += math.lgamma(counts[entry] + 1.0)
    return sums
