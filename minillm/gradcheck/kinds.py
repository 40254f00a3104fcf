"""The names of the mistakes: what each kind of finding means.

Where two seem to fit, the earlier rule decides:

1.  A constant factor, the same for all entries and directions, is `scaled` (-1: `sign_flipped`).
2.  A *multiplied* array that is missing, or another one in its place, is `wrong_operand`; if it is
    a mask of zeros and ones (or zeros and one constant), `wrong_entries`.
3.  An *added* term that is missing, doubled, or has the wrong sign is `missing_sum_term` or
    `missing_mean_term` if it holds a sum or a mean over an axis, and `dropped_branch` if not.
4.  The right numbers in the wrong places are `transposed` if exchanging axes puts them right, else
    `wrong_entries`.
"""

KINDS = {
    "sign_flipped": "every entry has the wrong sign",
    "scaled": "every entry is the same constant times what it should be",
    "transposed": "the right numbers with two axes exchanged",
    "missing_broadcast_sum": "an input that several places share (broadcast, a bias, a batch) gets "
    "the gradient of each place, or of one of them, instead of their sum",
    "wrong_axis": "a sum, a mean or a spread runs over another axis, or over more, than in forward",
    "overwritten_duplicates": "an entry that an index uses several times keeps the gradient of one "
    "use instead of their sum",
    "missing_mean_term": "a term with a mean over an axis is missing, doubled or has the wrong sign",
    "missing_sum_term": "a term with a sum over an axis is missing, doubled or has the wrong sign",
    "dropped_branch": "one way from the input to the output is not followed: a use of the input, a "
    "term of the product rule, an output, the way through time; what is there is right",
    "zero_gradient": "the gradient is zero, or None, though the output depends on the input",
    "wrong_entries": "some entries are right and others wrong, or the right numbers stand in the "
    "wrong places: shifted, reversed, or under the wrong mask",
    "ignores_upstream": "the gradient is not proportional to grad_out",
    "mutated_input": "an input, grad_out or a saved array was overwritten",
    "wrong_shape": "a gradient has another shape than its input, or their number is wrong",
    "wrong_dtype": "a gradient has another dtype than its input",
    "not_finite": "there are NaN or Inf",
    "wrong_operand": "a factor is missing, or another array stands in its place: another operand, "
    "its transpose, or another function of it",
    "unknown": "wrong, with no pattern that was found",
}

GENERIC = ("wrong_entries", "unknown")  # said only if nothing sharper is true

# what only the checks of a whole file can find: they compare with a known right forward
FORWARD_KINDS = {
    "wrong_forward": "forward computes something else than it should",
    "unstable": "forward is not finite for large inputs for which the true value is",
    "numeric_backward": "backward differentiates forward numerically instead of by a formula",
}
