"""The kernel's part of an embedding table: samples meet only in the tokens that they share.

With G_nv the sum of a sample's output gradients over its places of token v, K_nm is the sum over shared tokens of <G_nv, G_mv>.
No gradient of the table itself, V x d a sample, is ever made.
"""

import torch

from ntkviz.gradients.arithmetic import dot_rows, squared_norms
from ntkviz.gradients.gram import GramSum

#: Tokens of more samples than this get a matrix product each; rarer ones are padded to a common size and done together.
_RARE = 64
#: Entries of a padded batch of rare tokens.
_PADDED = 2**22


def add_tokens(total: GramSum, ids: torch.Tensor, right: torch.Tensor) -> None:
    """Add the table's part to a sum.

    Args:
        total: of all points.
        ids: int ``[n, T]``; -1 has no gradient.
        right: ``[n, H, d, T]``, output gradients.
    """
    owner, token, sums = by_token(ids, right)
    total.diagonal.index_add_(0, owner, squared_norms(sums))
    _, counts = torch.unique_consecutive(token, return_counts=True)
    starts = torch.cumsum(counts, 0) - counts
    for start, count in zip(starts[counts > _RARE].tolist(), counts[counts > _RARE].tolist(), strict=True):
        part = slice(start, start + count)
        _add_block(total, owner[part], sums[part])
    low = 1
    while low <= _RARE:  # counts in low..2 low - 1, padded alike
        chosen = (counts >= low) & (counts < 2 * low) & (counts <= _RARE)
        _add_rare(total, owner, sums, starts[chosen], counts[chosen], 2 * low)
        low *= 2


def by_token(ids: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One row for each point and each of its tokens, by token and then by point.

    Returns:
        Point int64 ``[e]``, token int64 ``[e]``, and the summed gradients ``[e, H d]``.
    """
    n, t = ids.shape
    flat = right.flatten(1, 2).transpose(1, 2).reshape(n * t, -1)
    point = torch.arange(n, device=ids.device)[:, None].expand(n, t).reshape(-1)
    token = ids.reshape(-1)
    there = token >= 0
    key, place = torch.unique(token[there] * n + point[there], return_inverse=True)
    sums = flat.new_zeros(len(key), flat.shape[1]).index_add_(0, place, flat[there])
    return key % n, key // n, sums


def _add_block(total: GramSum, owner: torch.Tensor, sums: torch.Tensor) -> None:
    """One frequent token: all pairs of its samples; owners ascend."""
    n_train = int((owner < total.n_train).sum())
    columns = owner[:n_train]
    if total.square:
        total.train[columns[:, None], columns] += dot_rows(sums[:n_train], sums[:n_train])
    if total.n_rows:
        rows = owner[n_train:] - total.n_train
        total.rows[rows[:, None], columns] += dot_rows(sums[n_train:], sums[:n_train])


def _add_rare(
    total: GramSum, owner: torch.Tensor, sums: torch.Tensor, starts: torch.Tensor, counts: torch.Tensor, size: int
) -> None:
    """Many tokens of up to ``size`` samples each."""
    step = max(1, _PADDED // (size * max(size, sums.shape[1])))
    places = torch.arange(size, device=owner.device)
    for first in range(0, len(starts), step):
        start, count = starts[first : first + step], counts[first : first + step]
        there = places < count[:, None]  # [tokens, size]
        index = torch.where(there, start[:, None] + places, start[:, None])
        some = sums[index] * there[..., None]
        products = torch.bmm(some, some.transpose(1, 2))
        i, j = owner[index][:, :, None].expand_as(products), owner[index][:, None, :].expand_as(products)
        wanted = there[:, :, None] & there[:, None, :] & (places[:, None] <= places)
        total.add_pairs(i[wanted], j[wanted], products[wanted])
