# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The plain PyTorch model: shapes, options, what is computed and what is kept."""

import itertools
from typing import Any

import open_clip
import pytest
import torch
from torch import nn

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.clip import encode_image, get_backbone, image_encoder, text_encoder, transformer
from anomalib_adaptclip.clip.text_encoder import encode_prompts
from anomalib_adaptclip.model.anomaly_map import smooth

LAYERS, FIRST_VV = (1, 3, 4, 6), 3
Golden = dict[str, torch.Tensor]


def build(clip: Any, hidden_dim: int = 32, **options: Any) -> AdaptCLIPModel:
    torch.manual_seed(0)
    return AdaptCLIPModel(clip, LAYERS, FIRST_VV, hidden_dim=hidden_dim, **options).eval()


@pytest.mark.parametrize("size", [(84, 84), (70, 112), (56, 56)])
@pytest.mark.parametrize("shots", [0, 1, 3])
def test_shapes_and_ranges(golden_model: AdaptCLIPModel, size: tuple[int, int], shots: int) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    if shots:
        golden_model.set_prompts(torch.randn(shots, 3, *size, generator=torch.Generator().manual_seed(1)))
    output = golden_model(images)
    assert output.pred_score.shape == (2,)
    assert output.anomaly_map.shape == (2, 1, *size)
    for tensor in (output.pred_score, output.anomaly_map):
        assert not tensor.requires_grad
        assert tensor.min() >= 0
        assert tensor.max() <= 1


def test_a_batch_is_its_images(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    golden_model.set_prompts(golden["prompt"])
    batch = golden_model(golden["query"])
    for index, image in enumerate(golden["query"]):
        alone = golden_model(image.unsqueeze(0))
        torch.testing.assert_close(batch.anomaly_map[index], alone.anomaly_map[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(batch.pred_score[index], alone.pred_score[0], rtol=0, atol=1e-5)


def test_clearing_prompts_leads_back_to_zero_shot(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    before = golden_model(golden["query"])
    golden_model.set_prompts(golden["prompt"])
    few_shot = golden_model(golden["query"])
    golden_model.clear_prompts()
    torch.testing.assert_close(golden_model(golden["query"]), before)
    assert not torch.equal(few_shot.anomaly_map, before.anomaly_map)


# Rows of the paper's Table 5: which adapters, shots, context. Line 3, joint learning, differs in training alone.
TABLE_5: list[tuple[tuple[str, ...], int, bool]] = [
    ((), 0, True),
    (("textual",), 0, True),
    (("visual",), 0, True),
    (("visual", "textual"), 0, True),
    (("visual", "textual"), 0, True),
    (("prompt_query",), 1, False),
    (("prompt_query",), 1, True),
    (("visual", "textual", "prompt_query"), 1, True),
]


@pytest.mark.parametrize(("adapters", "shots", "context"), TABLE_5)
def test_rows_of_table_5(
    golden_clip: Any, golden: Golden, adapters: tuple[Any, ...], shots: int, context: bool
) -> None:
    model = build(golden_clip, adapters=adapters, context=context)
    assert set(model.adapters) == set(adapters)
    if shots:
        model.set_prompts(golden["prompt"][:shots])
    output = model(golden["query"])
    assert output.anomaly_map.isfinite().all()
    assert output.pred_score.isfinite().all()


def test_every_option_changes_the_result(golden_clip: Any, golden: Golden) -> None:
    """Subsets, context, pooling and fusion are no idle arguments."""
    options: list[dict[str, Any]] = [
        {},
        *({"adapters": (name,)} for name in ("visual", "textual", "prompt_query")),
        {"adapters": ()},
        {"context": False},
        {"topk": 1},
        {"fusion": "paper"},
    ]
    scores = []
    for option in options:
        model = build(golden_clip, **option)
        model.set_prompts(golden["prompt"])
        scores.append(model(golden["query"]).pred_score)
    for one, other in itertools.combinations(scores, 2):
        assert not torch.allclose(one, other, rtol=0, atol=1e-7)


def test_without_adapters_few_shot_is_plain_clip_fused_with_alignment(
    golden_model: AdaptCLIPModel, golden: Golden
) -> None:
    model = build(golden_model.clip, adapters=())
    model.set_prompts(golden["prompt"])
    output = model(golden["query"])
    mean = 2 / (1 / golden["baseline.map"] + 1 / golden["align.map"])
    assert (output.anomaly_map.squeeze(1).amax((1, 2)) <= mean.amax((1, 2)) + 1e-6).all()
    expected = 2 / (1 / golden["baseline.score"] + 1 / output.anomaly_map.amax((1, 2, 3)))
    torch.testing.assert_close(output.pred_score, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("name", "zero_shot", "few_shot"), [("ViT-L-14-336", 609_024, 1_763_266), ("ViT-B-16-plus-240", 0, 0)]
)
def test_parameters_match_table_3(name: str, zero_shot: int, few_shot: int) -> None:
    """18,432 prompt + 590,592 visual + 1,154,242 prompt-query for ViT-L/14; rounded, Table 3's for both."""
    backbone = get_backbone(name)
    with torch.device("meta"):
        clip = open_clip.create_model(name, device="meta")
        counts = [
            sum(p.numel() for p in build_for(clip, backbone.layers, adapters).adapters.parameters())
            for adapters in (("visual", "textual"), ("visual", "textual", "prompt_query"))
        ]
    if zero_shot:
        assert counts == [zero_shot, few_shot]
    millions = [round(count / 1e6, 1) for count in counts]
    assert millions == ([0.6, 1.8] if name == "ViT-L-14-336" else [0.4, 1.4])


def build_for(clip: Any, layers: tuple[int, ...], adapters: tuple[Any, ...]) -> AdaptCLIPModel:
    return AdaptCLIPModel(clip, layers, 4, adapters=adapters)


def test_clip_stays_frozen_and_in_eval_mode(golden_model: AdaptCLIPModel) -> None:
    golden_model.train()
    assert not golden_model.clip.training
    assert not build_for(golden_model.clip.train(), LAYERS, ()).clip.training
    assert golden_model.adapters.training
    assert not any(p.requires_grad for p in golden_model.clip.parameters())
    assert all(p.requires_grad for p in golden_model.adapters.parameters())


def test_results_do_not_depend_on_history(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    """Another size in between must not leave traces, in the position table for instance."""
    table = golden_model.clip.visual.positional_embedding.clone()
    before = golden_model(golden["query"])
    golden_model(torch.randn(1, 3, 56, 112))
    torch.testing.assert_close(golden_model(golden["query"]), before, rtol=0, atol=0)
    torch.testing.assert_close(golden_model.clip.visual.positional_embedding, table, rtol=0, atol=0)


def test_only_needed_tokens_are_computed(
    golden_model: AdaptCLIPModel, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero-shot projects the last layer alone; the last block ends with the class token; texts are encoded once."""
    rows: list[int] = []
    original = transformer.feed_forward

    def spy(block: Any, x: torch.Tensor) -> torch.Tensor:
        rows.append(x.shape[1])
        return original(block, x)

    monkeypatch.setattr(image_encoder, "feed_forward", spy)
    assert len(golden_model.encode(golden["query"], golden_model.layers[-1:]).layers) == 1
    assert rows[-1] == 1

    layers: list[Any] = []
    encode = golden_model.encode

    def watched(images: torch.Tensor, wanted: Any) -> Any:
        layers.append(wanted)
        return encode(images, wanted)

    monkeypatch.setattr(golden_model, "encode", watched)
    golden_model(golden["query"])
    assert layers == [(6,)]
    monkeypatch.setattr(
        "anomalib_adaptclip.model.torch_model.static_text_pair", lambda *_: pytest.fail("encoded again")
    )
    golden_model(golden["query"])


def test_no_vv_stream_behind_the_last_tap(golden_clip: Any, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer attention calls, same tokens: both streams in blocks 3 and 4, the standard one alone in 5 and 6."""
    calls: list[Any] = []
    original = transformer.attend

    def spy(block: Any, *args: Any, **options: Any) -> torch.Tensor:
        calls.append(block)
        return original(block, *args, **options)

    monkeypatch.setattr(image_encoder, "attend", spy)
    monkeypatch.setattr(transformer, "attend", spy)
    early = AdaptCLIPModel(golden_clip, (1, 4), FIRST_VV).eval()
    late = AdaptCLIPModel(golden_clip, (1, 4, 6), FIRST_VV).eval()
    with torch.no_grad():
        short = early.encode(golden["query"], (1, 4))
        assert [calls.count(block) for block in golden_clip.visual.transformer.resblocks] == [1, 1, 2, 2, 1, 1]
        full = late.encode(golden["query"], (1, 4, 6))
    torch.testing.assert_close(short.layers, full.layers[:2], rtol=0, atol=1e-6)
    torch.testing.assert_close(short.global_token, full.global_token, rtol=0, atol=1e-6)


def test_global_token_is_plain_clip_without_the_last_norm(golden_clip: Any, golden: Golden) -> None:
    """With its norm it would be open_clip's own image feature."""
    model = build(golden_clip)
    images = torch.nn.functional.interpolate(golden["query"], size=(56, 56))
    golden_clip.visual.ln_post = nn.Identity()
    with torch.no_grad():
        tokens = model.encode(images, (6,))
        torch.testing.assert_close(tokens.global_token, golden_clip.encode_image(images), rtol=0, atol=1e-5)


def test_text_embeddings_are_open_clips(golden_clip: Any) -> None:
    """Although what stands behind the end token is left out."""
    prompts = ["a photo of a flawless object.", "a cropped photo of the object with damage."]
    with torch.no_grad():
        expected = golden_clip.encode_text(open_clip.tokenize(prompts))
        torch.testing.assert_close(encode_prompts(golden_clip, prompts), expected, rtol=0, atol=1e-5)


def test_texts_are_cut_behind_the_end_token(golden_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    original = transformer.run_block

    def spy(block: Any, x: torch.Tensor, *, causal: bool) -> torch.Tensor:
        lengths.append(x.shape[1])
        return original(block, x, causal=causal)

    monkeypatch.setattr(text_encoder, "run_block", spy)
    encode_prompts(golden_clip, ["one two three", "one"])
    assert lengths == [5, 5]  # start, three words, end; two blocks


def test_layer_scale_is_applied() -> None:
    """Some of open_clip's ViTs scale what a block adds."""
    torch.manual_seed(0)
    clip: Any = open_clip.CLIP(
        embed_dim=64,
        vision_cfg={"layers": 2, "width": 64, "patch_size": 14, "image_size": 28, "ls_init_value": 0.1},
        text_cfg={"width": 64, "layers": 1, "heads": 1, "ls_init_value": 0.1},
    )
    clip.visual.ln_post = nn.Identity()
    images = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        tokens = encode_image(clip.visual, images, (2,), 2)
        torch.testing.assert_close(tokens.global_token, clip.encode_image(images), rtol=0, atol=1e-5)


def test_a_text_tower_of_its_own(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    """CustomTextCLIP keeps the text tower in a module; the numbers are the same."""
    clip = open_clip.CustomTextCLIP(
        embed_dim=64,
        vision_cfg={"layers": 6, "width": 128, "patch_size": 14, "image_size": 56},
        text_cfg={"width": 64, "layers": 2, "heads": 1},
        quick_gelu=True,
    )
    state = golden_model.clip.state_dict()
    clip.load_state_dict({k if k.startswith(("visual", "logit")) else f"text.{k}": v for k, v in state.items()})
    model = build(clip, adapters=())
    model.set_prompts(golden["prompt"])
    reference = build(golden_model.clip, adapters=())
    reference.set_prompts(golden["prompt"])
    torch.testing.assert_close(model(golden["query"]), reference(golden["query"]))


def test_state_travels_with_prompts_of_any_number(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    golden_model.set_prompts(golden["prompt"])
    expected = golden_model(golden["query"])
    other = build(golden_model.clip)
    other.set_prompts(golden["query"])  # another number of shots
    other.load_state_dict(golden_model.state_dict())
    torch.testing.assert_close(other(golden["query"]), expected)


def test_prompts_set_in_inference_mode_can_be_replaced(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    """Lightning predicts in inference mode, whose tensors cannot be written to afterwards."""
    with torch.inference_mode():
        golden_model.set_prompts(golden["prompt"])
        golden_model(golden["query"])
    golden_model.load_state_dict(golden_model.state_dict())
    assert not golden_model.prompt_memory.tokens.is_inference()


def test_what_is_kept_under_autocast_serves_full_precision(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        golden_model.set_prompts(golden["prompt"])
        golden_model(golden["query"])
    torch.testing.assert_close(golden_model(golden["query"]).pred_score, golden["few_shot.score"], rtol=0, atol=5e-6)


def test_training_forgets_the_learned_pair(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    """Also if only the flags were set, as Lightning does after a validation."""
    before = golden_model(golden["query"]).pred_score
    tokens = golden_model.encode(golden["query"], golden_model.layers)
    for module in golden_model.modules():
        module.training = True
    golden_model.adapter_outputs(tokens)
    with torch.no_grad():
        golden_model.adapters["textual"].get_parameter("contexts").neg_()
    golden_model.eval()
    assert not torch.allclose(golden_model(golden["query"]).pred_score, before)


def test_many_prompts_are_all_remembered(golden_model: AdaptCLIPModel) -> None:
    """They are encoded a few at a time."""
    images = torch.randn(9, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    golden_model.set_prompts(images)
    expected = golden_model.encode(images[8:], golden_model.layers).layers[-1][:, 1:]
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(golden_model.prompt_memory.tokens[-1, 8:], expected, rtol=0, atol=1e-5)
    assert golden_model.prompt_memory.k_shot == 9


def test_a_class_name_changes_the_static_texts(golden_clip: Any) -> None:
    pairs = []
    for name in ("object", "hazelnut"):
        model = build(golden_clip, class_name=name)
        model.encode_texts()
        pairs.append(model.static_pair)
    assert not torch.allclose(pairs[0], pairs[1], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ()}, "ascending block numbers from 1 to 6"),
        ({"layers": (0, 3)}, "ascending block numbers"),
        ({"layers": (3, 7)}, "ascending block numbers"),
        ({"layers": (4, 3)}, "ascending block numbers"),
        ({"first_vv_block": 0}, "first_vv_block must be a block number from 1 to 6; got 0"),
        ({"first_vv_block": 7}, "first_vv_block"),
        (
            {"adapters": ("visual", "vision")},
            r"Unknown adapters \['vision'\]; the adapters are \['visual', 'textual', 'prompt_query'\]",
        ),
        ({"fusion": "mean"}, r"fusion must be one of \['published', 'paper', 'log_odds'\]; got 'mean'"),
    ],
)
def test_bad_arguments(golden_clip: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptCLIPModel(golden_clip, options.pop("layers", LAYERS), options.pop("first_vv_block", FIRST_VV), **options)


@pytest.mark.parametrize("shape", [(1, 3, 84, 85), (1, 1, 84, 84)])
def test_bad_image_shapes(golden_model: AdaptCLIPModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"multiples of the patch, 14x14 pixels; got"):
        golden_model(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 84, 84), (0, 3, 84, 84)])
def test_bad_prompt_shapes(golden_model: AdaptCLIPModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        golden_model.set_prompts(torch.zeros(shape))


@pytest.mark.parametrize(
    "options",
    [{"attentional_pool": True}, {"pool_type": "avg"}, None],
    ids=["attention pool", "average pool", "no ViT"],
)
def test_other_towers_are_refused(options: dict[str, Any] | None) -> None:
    clip: Any = nn.Module()
    clip.visual = nn.Linear(1, 1)
    if options is not None:
        clip.visual = open_clip.transformer.VisionTransformer(28, 14, 64, 1, 1, 1.0, output_dim=64, **options)
    with pytest.raises(TypeError, match="needs an open_clip CLIP with a standard ViT and CLIP's own text tower, but"):
        AdaptCLIPModel(clip, LAYERS, FIRST_VV)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("text_pool_type", "last", "does not read its feature at the end token"),
        ("attn_mask", None, "does not read its feature at the end token"),
        ("text_projection", nn.Linear(64, 64), "the text tower is a CLIP"),
    ],
)
def test_another_text_tower_is_refused(golden_clip: Any, name: str, value: Any, problem: str) -> None:
    delattr(golden_clip, name)
    setattr(golden_clip, name, value)
    with pytest.raises(TypeError, match=problem):
        AdaptCLIPModel(golden_clip, LAYERS, FIRST_VV)


class OtherBlock(open_clip.transformer.ResidualAttentionBlock):  # type: ignore[misc]
    """Looks alike and computes who knows what."""


def test_other_blocks_are_refused(golden_clip: Any) -> None:
    golden_clip.visual.transformer.resblocks[2].__class__ = OtherBlock
    with pytest.raises(TypeError, match="its blocks are OtherBlock"):
        AdaptCLIPModel(golden_clip, LAYERS, FIRST_VV)


def test_maps_by_adapter_are_what_is_fused(golden_model: AdaptCLIPModel, golden: Golden) -> None:
    zero_shot = golden_model.maps_by_adapter(golden["query"])
    assert list(zero_shot) == ["visual", "textual", "fused"]
    mean = smooth((zero_shot["visual"] + zero_shot["textual"]) / 2)
    torch.testing.assert_close(zero_shot["fused"], mean)
    golden_model.set_prompts(golden["prompt"])
    maps = golden_model.maps_by_adapter(golden["query"])
    assert list(maps) == ["visual", "textual", "prompt_query", "alignment", "fused"]
    torch.testing.assert_close(maps["fused"], golden_model(golden["query"]).anomaly_map, rtol=0, atol=0)
    mean = (maps["visual"] + maps["textual"] + maps["prompt_query"]) / 3
    torch.testing.assert_close(maps["fused"], smooth(2 / (1 / mean + 1 / maps["alignment"])))


def test_maps_without_adapters(golden_clip: Any, golden: Golden) -> None:
    assert list(build(golden_clip, adapters=()).maps_by_adapter(golden["query"])) == ["plain", "fused"]
