"""Transformer layers, stacks and the whole: masks, order of norms, caches, copies."""

import numpy as np
import pytest

import minillm.functional as F
from minillm import Tensor, nn
from minillm.gradcheck import check_model


def encoder_layer(rng=None, dropout=0.0, **options):
    return nn.TransformerEncoderLayer(6, 3, 11, dropout, dtype="float64", rng=rng, **options)


def decoder_layer(rng=None, dropout=0.0, **options):
    return nn.TransformerDecoderLayer(6, 3, 11, dropout, dtype="float64", rng=rng, **options)


def transformer(rng=None, dropout=0.0, **options):
    return nn.Transformer(6, 3, 1, 2, 11, dropout, dtype="float64", rng=rng, **options)


def shake(module, rng):
    """Move every parameter, so that biases and norms show."""
    for p in module.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    return module


@pytest.fixture
def src(rng):
    return rng.standard_normal((2, 7, 6))


@pytest.fixture
def tgt(rng):
    return rng.standard_normal((2, 5, 6))


REAL = np.array([[True] * 7, [True, True, False, True, False, False, True]])


# ------------------------------------------------------------------------------------ feed-forward


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("gelu", lambda x: F.gelu(Tensor(x)).data),
        ("gelu_tanh", lambda x: F.gelu(Tensor(x), approximate="tanh").data),
        ("gelu_new", lambda x: F.gelu(Tensor(x), approximate="tanh").data),
    ],
)
def test_feed_forward_is_its_formula(rng, src, name, function):
    layer = nn.FeedForward(6, 11, activation=name, dtype="float64", rng=rng)
    first, second = layer.linear1, layer.linear2
    inner = function(src @ first.weight.data + first.bias.data)
    expected = inner @ second.weight.data + second.bias.data
    np.testing.assert_allclose(layer(src).data, expected, rtol=1e-12)


def test_feed_forward_drops_inside(rng):
    layer = nn.FeedForward(6, 11, 1.0, dtype="float64", rng=rng)
    out = layer(rng.standard_normal((1, 2, 6))).data
    np.testing.assert_array_equal(out, np.tile(layer.linear2.bias.data, (1, 2, 1)))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("make", [encoder_layer, decoder_layer])
def test_layers_by_hand_in_both_orders(rng, src, tgt, make, norm_first):
    layer = shake(make(rng, norm_first=norm_first), rng)
    parts = [
        (layer.norm1, lambda x: layer.self_attention(x, is_causal=True)),
        (layer.norm2, layer.feed_forward),
    ]
    memory = ()
    if make is decoder_layer:
        memory = (src,)
        parts[1] = (layer.norm2, lambda x: layer.cross_attention(x, src))
        parts.append((layer.norm3, layer.feed_forward))
    x = Tensor(tgt)
    for norm, part in parts:
        x = x + part(norm(x)) if norm_first else norm(x + part(x))
    np.testing.assert_allclose(layer(tgt, *memory, is_causal=True).data, x.data, rtol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("make", [encoder_layer, decoder_layer])
def test_what_each_part_adds_is_dropped_in_training_only(rng, src, tgt, make, norm_first):
    layer = shake(
        make(rng, dropout=1.0, norm_first=norm_first), rng
    )  # biases: what no weights give
    memory = () if make is encoder_layer else (src,)
    norms = [layer.norm1, layer.norm2] + ([layer.norm3] if memory else [])
    expected = Tensor(tgt)  # all parts are dropped: only post-norm does anything
    for norm in [] if norm_first else norms:
        expected = norm(expected)
    np.testing.assert_array_equal(layer(tgt, *memory).data, expected.data)
    layer.eval()
    assert not np.allclose(layer(tgt, *memory).data, expected.data)
    assert layer.self_attention.dropout == 1.0


# ------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_decoder_does_not_see_the_future_but_all_of_memory(rng, src, tgt, norm_first):
    model = transformer(rng, norm_first=norm_first)
    before = model(src, tgt, is_causal=True).data
    tgt[:, 3:] += rng.standard_normal((2, 2, 6))
    after = model(src, tgt, is_causal=True).data
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])
    src[:, -1] += rng.standard_normal(6)
    assert (np.abs(model(src, tgt, is_causal=True).data - after).max(axis=-1) > 1e-6).all()


def test_a_causal_encoder_does_not_see_the_future(rng, src):
    encoder = nn.TransformerEncoder(encoder_layer(rng), 2)
    before = encoder(src, is_causal=True).data
    src[:, 4:] += rng.standard_normal((2, 3, 6))
    after = encoder(src, is_causal=True).data
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.allclose(before[:, 4:], after[:, 4:])


def test_padding_of_the_source_is_seen_nowhere(rng, src, tgt):
    model = shake(transformer(rng), rng)
    before = model(src, tgt, src_key_visible=REAL, is_causal=True).data
    explicit = model(src, tgt, src_key_visible=REAL, memory_key_visible=REAL, is_causal=True)
    np.testing.assert_array_equal(before, explicit.data)
    src[~REAL] = 1e3
    after = model(src, tgt, src_key_visible=REAL, is_causal=True).data
    np.testing.assert_array_equal(before, after)
    alone = model(src[1:, REAL[1]], tgt[1:], is_causal=True).data
    np.testing.assert_allclose(before[1:], alone, rtol=1e-11)
    leaky = model(
        src, tgt, src_key_visible=REAL, memory_key_visible=np.ones((2, 7), bool), is_causal=True
    )
    assert not np.allclose(after[1], leaky.data[1])


def test_padding_of_the_target_is_not_seen(rng, src, tgt):
    layer = shake(decoder_layer(rng), rng)
    real = np.array([[True] * 5, [True, False, True, True, False]])
    before = layer(tgt, src, key_visible=real).data
    tgt[~real] += 3.0
    after = layer(tgt, src, key_visible=real).data
    np.testing.assert_array_equal(before[real], after[real])
    assert not np.allclose(before, layer(tgt, src).data)


def test_each_mask_reaches_its_attention(rng, src, tgt):
    """A mask given under each name equals the same mask given to the parts by hand."""
    model = shake(transformer(rng), rng)
    names = {
        "src_visible": (7, 7), "tgt_visible": (5, 5), "memory_visible": (5, 7),
        "src_key_visible": (2, 7), "tgt_key_visible": (2, 5), "memory_key_visible": (2, 7),
    }  # fmt: skip
    masks = {name: rng.random(shape) < 0.6 for name, shape in names.items()}
    memory = model.encoder(src, visible=masks["src_visible"], key_visible=masks["src_key_visible"])
    x = Tensor(tgt)
    for layer in model.decoder.layers:
        x = layer.norm1(
            x
            + layer.self_attention(
                x, visible=masks["tgt_visible"], key_visible=masks["tgt_key_visible"]
            )
        )
        x = layer.norm2(
            x
            + layer.cross_attention(
                x, memory, visible=masks["memory_visible"],
                key_visible=masks["memory_key_visible"],
            )
        )  # fmt: skip
        x = layer.norm3(x + layer.feed_forward(x))
    whole = model(src, tgt, **masks)
    np.testing.assert_allclose(whole.data, model.decoder.norm(x).data, rtol=1e-12)
    for name, mask in masks.items():  # and each of them matters
        changed = model(src, tgt, **{**masks, name: np.roll(~mask, 1)})
        assert not np.allclose(changed.data, whole.data), name


def test_rows_that_see_nothing_stay_finite(rng, src, tgt):
    model = transformer(rng)
    nothing = np.array([[True] * 7, [False] * 7])
    tgt = Tensor(tgt, requires_grad=True)
    out = model(src, tgt, src_key_visible=nothing, is_causal=True)
    (out * out).sum().backward()
    assert np.isfinite(out.data).all()
    assert np.isfinite(tgt.grad).all()
    assert all(np.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(
    ("make", "name", "write"),
    [
        (encoder_layer, "src_mask", "visible=~src_mask"),
        (encoder_layer, "src_key_padding_mask", "key_visible=~src_key_padding_mask"),
        (lambda: nn.TransformerEncoder(encoder_layer(), 1), "mask", "visible=~mask"),
        (decoder_layer, "tgt_mask", "visible=~tgt_mask"),
        (decoder_layer, "memory_mask", "memory_visible=~memory_mask"),
        (decoder_layer, "tgt_key_padding_mask", "key_visible=~tgt_key_padding_mask"),
        (
            lambda: nn.TransformerDecoder(decoder_layer(), 1),
            "memory_key_padding_mask",
            "memory_key_visible=~memory_key_padding_mask",
        ),
        (transformer, "src_mask", "src_visible=~src_mask"),
        (transformer, "tgt_mask", "tgt_visible=~tgt_mask"),
        (transformer, "memory_mask", "memory_visible=~memory_mask"),
        (transformer, "src_key_padding_mask", "src_key_visible=~src_key_padding_mask"),
        (transformer, "tgt_key_padding_mask", "tgt_key_visible=~tgt_key_padding_mask"),
        (transformer, "mask", "tgt_visible=~mask"),
    ],
)
def test_masks_of_pytorch_are_refused_with_the_call_to_write(make, name, write):
    module = make()
    x = np.zeros((2, 5, 6))
    inputs = (x,) if "Encoder" in type(module).__name__ else (x, x)
    with pytest.raises(TypeError) as caught:
        module(*inputs, **{name: np.zeros((5, 5), bool)})
    assert f"{type(module).__name__}: there is no {name}:" in str(caught.value)
    assert f"write {write};" in str(caught.value)
    with pytest.raises(TypeError, match="positional"):
        module(*inputs, np.zeros((5, 5), bool))


def test_other_mistakes_keep_their_own_words():
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        encoder_layer()(np.zeros((2, 5, 6)), colour=3)

    class Reader(nn.Module):
        def forward(self, x, mask, visible=None):
            raise TypeError("something else")

    with pytest.raises(TypeError, match=r"^something else"):
        Reader()(1, mask=2)


# ------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_cached_decoder_gives_the_same_results(rng, src, tgt, norm_first):
    decoder = nn.TransformerDecoder(
        shake(decoder_layer(rng, norm_first=norm_first), rng), 2, nn.LayerNorm(6, dtype="float64")
    )
    shake(decoder, rng)
    real = np.array([[True] * 5, [False, True, True, True, True]])
    whole = decoder(tgt, src, is_causal=True, key_visible=real, memory_key_visible=REAL).data
    past = None
    for start, end in ((0, 2), (2, 3), (3, 5)):
        out, past = decoder(
            tgt[:, start:end], src, is_causal=True, key_visible=real[:, :end],
            memory_key_visible=REAL, past=past, use_cache=True,
        )  # fmt: skip
        np.testing.assert_allclose(out.data, whole[:, start:end], rtol=1e-12, atol=1e-12)
    assert len(past) == 2
    again = past[0][1][0]
    _, past = decoder(tgt[:, :1], src, past=past, use_cache=True)
    assert past[0][1][0] is again  # the keys of memory are not computed twice


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_cached_encoder_gives_the_same_results(rng, src, norm_first):
    encoder = nn.TransformerEncoder(encoder_layer(rng, norm_first=norm_first), 2)
    shake(encoder, rng)
    whole = encoder(src, is_causal=True).data
    out, past = encoder(src[:, :3], is_causal=True, use_cache=True)
    np.testing.assert_allclose(out.data, whole[:, :3], rtol=1e-12, atol=1e-12)
    rest = encoder(src[:, 3:], is_causal=True, past=past)  # use_cache left out: the result alone
    np.testing.assert_allclose(rest.data, whole[:, 3:], rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="past holds 1 entries, but there are 2 layers"):
        encoder(src, past=past[:1])


# ------------------------------------------------------------------------------------------ stacks


@pytest.mark.parametrize(
    ("stack", "make"),
    [(nn.TransformerEncoder, encoder_layer), (nn.TransformerDecoder, decoder_layer)],
)
def test_copies_start_equal_and_are_independent(rng, src, stack, make):
    layer = make(rng)
    memory = () if make is encoder_layer else (src,)
    layer(src, *memory).sum().backward()  # a used layer has gradients and knows its graph
    before = {name: array.copy() for name, array in layer.state_dict().items()}
    gradients = {name: p.grad.copy() for name, p in layer.named_parameters()}
    model = stack(layer, 2)
    assert model.num_parameters() == 2 * layer.num_parameters()
    for copied in model.layers:
        for name, p in copied.named_parameters():
            np.testing.assert_array_equal(p.data, before[name])
            assert p.grad is None
    out = model(src, *memory)
    (out * out).sum().backward()
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.grad, gradients[name])  # none of it went to the original
    for p, q in zip(model.layers[0].parameters(), model.layers[1].parameters(), strict=True):
        assert p.grad is not q.grad
        p.data += 1.0
        assert not np.shares_memory(p.data, q.data)
    np.testing.assert_array_equal(layer.norm1.weight.data, before["norm1.weight"])
    np.testing.assert_array_equal(model.layers[1].norm1.weight.data, before["norm1.weight"])


def test_copies_share_a_generator(rng):
    class Noisy(nn.Module):
        def __init__(self):
            self.dropout = nn.Dropout(0.5, rng=np.random.default_rng(3))

        def forward(self, x, **options):
            return self.dropout(x)

    model = nn.TransformerEncoder(Noisy(), 2)
    first, second = (layer(np.ones(64)).data for layer in model.layers)
    assert (first != second).any()


def test_the_norm_comes_last(rng, src):
    norm = nn.LayerNorm(6, 0.3, dtype="float64")
    bare = nn.TransformerEncoder(encoder_layer(rng), 2)
    whole = nn.TransformerEncoder(encoder_layer(rng), 2, norm)
    whole.layers.load_state_dict(bare.layers.state_dict())
    np.testing.assert_array_equal(whole(src).data, norm(bare(src)).data)


def test_every_layer_of_a_transformer_starts_differently(rng):
    model = transformer(rng)
    first, second = model.decoder.layers
    for name, p in first.named_parameters():
        same = np.array_equal(p.data, dict(second.named_parameters())[name].data)
        assert same == (p.ndim == 1), name
    big = nn.Transformer(48, 3, 1, 1, 96, rng=rng)
    for layer in (*big.encoder.layers, *big.decoder.layers):
        for part in (layer.self_attention.output, layer.feed_forward.linear2):
            bound = np.sqrt(6 / sum(part.weight.shape))
            assert 0.97 * bound < np.abs(part.weight.data).max() <= bound


def test_initial_values_come_from_the_given_generator():
    def build(seed):
        rng = np.random.default_rng(seed)
        return [
            nn.Transformer(6, 3, 1, 2, 11, rng=rng),
            nn.TransformerEncoderLayer(6, 3, 11, rng=rng),
            nn.TransformerDecoderLayer(6, 3, 11, rng=rng),
            nn.MultiHeadAttention(6, 3, rng=rng),
            nn.FeedForward(6, 11, rng=rng),
            nn.PositionalEncoding(6, learned=True, max_len=5, rng=rng),
            nn.LSTM(2, 5, 2, bidirectional=True, rng=rng),
        ]

    for one, same, other in zip(build(5), build(5), build(6), strict=True):
        for (name, p), q in zip(one.named_parameters(), same.parameters(), strict=True):
            np.testing.assert_array_equal(p.data, q.data, err_msg=name)
        assert any(
            (p.data != q.data).any()
            for p, q in zip(one.parameters(), other.parameters(), strict=True)
        )


def test_the_defaults_are_those_of_pytorch():
    layer = nn.TransformerEncoderLayer(4, 2)
    assert layer.feed_forward.linear1.weight.shape == (4, 2048)
    assert (layer.dropout.p, layer.norm1.eps, layer.norm_first) == (0.1, 1e-5, False)
    model = nn.Transformer(8, dim_feedforward=4)
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (6, 6)
    assert model.decoder.layers[5].cross_attention.num_heads == 8


# ---------------------------------------------------------------------------------- what it takes


@pytest.mark.parametrize("norm_first", [False, True])
def test_gradients_of_an_encoder_with_dropout(rng, src, norm_first):
    layer = encoder_layer(rng, dropout=0.3, norm_first=norm_first, activation="gelu_tanh")
    model = nn.TransformerEncoder(layer, 2, nn.LayerNorm(6, 0.5))
    report = check_model(model, src, key_visible=REAL)
    assert report.passed, report


@pytest.mark.parametrize("norm_first", [False, True])
def test_gradients_of_a_transformer_with_dropout(rng, src, tgt, norm_first):
    model = transformer(rng, dropout=0.3, norm_first=norm_first, activation="silu")
    report = check_model(model, src, tgt, src_key_visible=REAL, is_causal=True)
    assert report.passed, report


def test_gradients_go_through_a_cache(rng, src):
    encoder = nn.TransformerEncoder(encoder_layer(rng), 2)

    class Halves(nn.Module):
        def __init__(self):
            self.encoder = encoder

        def forward(self, x):
            first, past = encoder(x[:, :3], is_causal=True, use_cache=True)
            return F.concatenate(first, encoder(x[:, 3:], is_causal=True, past=past), axis=1)

    report = check_model(Halves(), src)
    assert report.passed, report


def test_float32_stays_float32(rng, src, tgt):
    for norm_first in (False, True):
        for activation in ("relu", "gelu", "gelu_new", "silu"):
            model = nn.Transformer(6, 3, 1, 1, 11, norm_first=norm_first, activation=activation)
            x = Tensor(src.astype(np.float32), requires_grad=True)
            out = model(x, tgt.astype(np.float32), src_key_visible=REAL, is_causal=True)
            out.sum().backward()
            assert {out.dtype, x.grad.dtype} == {np.dtype("float32")}
            assert {p.grad.dtype for p in model.parameters()} == {np.dtype("float32")}
    with pytest.raises(TypeError, match="float32"):
        model(src, tgt)


def test_one_sequence_and_one_token(rng):
    model = transformer(rng)
    for sizes in ((1, 1, 1), (1, 7, 5), (2, 1, 1)):
        B, S, T = sizes
        out = model(np.ones((B, S, 6)), np.ones((B, T, 6)), is_causal=True)
        assert out.shape == (B, T, 6)
        assert np.isfinite(out.data).all()


def test_without_biases():
    names = [name for name, _ in transformer(bias=False).named_parameters()]
    assert not [name for name in names if "bias" in name]


def test_a_state_comes_back_and_the_repr_folds_equal_layers(rng, src, tgt):
    one, other = transformer(rng), transformer()
    assert not np.allclose(one(src, tgt).data, other(src, tgt).data)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one(src, tgt).data, other(src, tgt).data)
    names = list(one.state_dict())
    assert names[0] == "encoder.layers.0.self_attention.query.weight"
    assert "decoder.layers.1.cross_attention.output.bias" in names
    assert "decoder.layers.1.feed_forward.linear2.weight" in names
    assert {"encoder.norm.weight", "decoder.norm.bias"} <= set(names)
    text = repr(one)
    assert "0 … 1: TransformerDecoderLayer(norm_first=False" in text
    assert text.endswith(f"{one.num_parameters():,} parameters")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: encoder_layer(activation="tanh"), "activation 'tanh' must be one of 'relu', 'gelu'"),
        (lambda: nn.FeedForward(0, 3), "d_model must be an integer of at least 1, got 0"),
        (lambda: nn.FeedForward(3, 2.5), "dim_feedforward must be an integer .* got 2.5"),
        (lambda: nn.FeedForward(3, 2, 1.5), "p = 1.5 must be a probability"),
        (lambda: nn.TransformerEncoderLayer(10, 3), "embed_dim 10 must be a multiple of num_heads 3"),
        (lambda: nn.TransformerEncoderLayer(6, 3, dropout=-0.1), "dropout = -0.1"),
        (lambda: nn.TransformerEncoder(encoder_layer(), 0), "TransformerEncoder: num_layers .* got 0"),
        (lambda: nn.TransformerDecoder(decoder_layer(), "2"), "TransformerDecoder: num_layers .* '2'"),
        (lambda: nn.Transformer(6, 3, 0), "num_layers must be an integer of at least 1, got 0"),
    ],
)  # fmt: skip
def test_impossible_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_stack_needs_a_layer():
    with pytest.raises(TypeError, match="TransformerEncoder: layer must be a module, got int"):
        nn.TransformerEncoder(6, 2)


def test_an_error_names_the_module_where_it_happened(rng, src, tgt):
    model = transformer(rng)
    with pytest.raises(ValueError) as caught:
        model(np.ones((3, 7, 6)), tgt)
    assert "q (2, 3, 5, 2)" in str(caught.value)
    assert str(caught.value).endswith("in Transformer.decoder.layers.0")
    with pytest.raises(ValueError) as caught:
        model(src, tgt, tgt_key_visible=np.ones((2, 7), bool))
    assert "key_visible (2, 7) must be (B, S) = (2, 5)" in str(caught.value)
    assert str(caught.value).endswith("in Transformer.decoder.layers.0.self_attention")
