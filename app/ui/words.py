"""Every word on the page, in English and Chinese. One dictionary, so that one thing has one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

LANGUAGES = ("en", "zh")

_EN: dict[str, str] = {
    "product": "Latent Lab",
    "generate_tab": "Generate",
    "other_language": "中文",
    "theme": "Light / dark",
    # header
    "state_starting": "starting",
    "state_loading": "loading {percent} %: {message}",
    "state_ready": "ready",
    "state_failed": "not loaded",
    "load_failed": "The model could not be loaded: {message} Start the program again with --weights FILE.",
    # form
    "prompt": "Prompt",
    "prompt_placeholder": "What should the picture show?",
    "negative_prompt": "Negative prompt",
    "negative_info": "What the picture should not show; left empty, guidance pulls away from no text at all.",
    "tokens": "{tokens}/{limit} tokens",
    "tokens_dropped": "too long; not read: “{dropped}”",
    "tokens_loading": "tokens are counted once the model is loaded",
    "generate": "Generate",
    "stop": "Stop",
    "stopping": "Stopping at the next step …",
    "sending": "Sending …",
    "examples": "Examples",
    "steps": "Steps",
    "steps_info": "How often the model is asked.",
    "guidance_scale": "Guidance scale",
    "guidance_info": "How hard the prompt pulls; 1: no extra.",
    "eta": "Eta",
    "eta_info": "Fresh noise per step; 0: only the seed.",
    "sampler": "Sampler",
    "sampler_info": "The rule that moves from step to step.",
    "seed": "Seed",
    "seed_info": "The noise it starts from; −1 is another each time.",
    "dice": "Random",
    "reuse": "Reuse shown",
    "width": "Width",
    "height": "Height",
    "batch": "Images",
    "start_picture": "Start from a picture: image to image, inpaint",
    "start_info": "Load a picture to redraw all of it (image to image). Paint over a part to redraw only that "
    "(inpaint). Empty the canvas to start from noise again.",
    "use_shown": "Take the picture shown",
    "strength": "Strength",
    "strength_info": "How much noise is laid over the picture first; 1 keeps almost nothing of it.",
    "restore": "Restore from PNG",
    "restore_info": "A PNG made here carries its settings; load it to fill every field.",
    "restore_file": "PNG file",
    "restored": "Settings restored; Generate makes the same picture again.",
    # picture
    "empty": "Your picture forms here.",
    "empty_hint": "Type a prompt and press Enter, or take an example.",
    "picture_alt": "Generated picture: {prompt}",
    "preview_alt": "Preview at step {i} of {n}: {prompt}",
    "scaling": "Enlarging",
    "smooth": "Smooth",
    "nearest": "Pixels",
    "copy_settings": "Copy settings",
    "copied": "Copied",
    "download": "Download PNG",
    "history": "Pictures of this session",
    "history_empty": "Finished pictures of this session gather here.",
    # status line
    "queued": "Waiting: place {position} in the queue",
    "queued_wait": "Waiting: place {position} in the queue, about {wait}",
    "started": "Starting {n} steps …",
    "stepped": "Step {i}/{n} · {left} left",
    "decoding": "Step {n}/{n} · painting the picture …",
    "done": "Done in {seconds}",
    "stopped": "Stopped after step {i} of {n}.",
    "failed": "No picture: {message}",
    "unexpected": "Something went wrong that should not have; the server's log has the details.",
    "seconds": "{value} s",
    "minutes": "{minutes} min {seconds} s",
    "facts": "Seed {seed} · {width}×{height} · {steps} steps · {seconds}",
    "lost": "Connection lost. Trying to get it back …",
    "found": "Connected again.",
    "nothing_to_use": "There is no picture to take yet.",
    "from_picture": "Redraws the picture on the canvas; empty the canvas to start from noise.",
    "from_paint": "Repaints the painted part of the picture on the canvas.",
    "gone": "The file of this picture has been cleaned up; its settings make it again.",
    "no_background": "The canvas has paint but no picture: load one first, or empty the canvas.",
}

_ZH: dict[str, str] = {
    "product": "Latent Lab",
    "generate_tab": "生成",
    "other_language": "English",
    "theme": "浅色 / 深色",
    "state_starting": "正在启动",
    "state_loading": "加载中 {percent} %：{message}",
    "state_ready": "就绪",
    "state_failed": "未加载",
    "load_failed": "模型无法加载：{message} 请用 --weights 指定文件后重新启动。",
    "prompt": "提示词",
    "prompt_placeholder": "想画什么？",
    "negative_prompt": "反向提示词",
    "negative_info": "画面中不要出现的内容；留空时，引导只远离“无文字”的预测。",
    "tokens": "{tokens}/{limit} 个词元",
    "tokens_dropped": "过长，未读入：“{dropped}”",
    "tokens_loading": "模型加载后显示词元数",
    "generate": "生成",
    "stop": "停止",
    "stopping": "将在下一步停止……",
    "sending": "正在提交……",
    "examples": "示例",
    "steps": "步数",
    "steps_info": "询问模型的次数。",
    "guidance_scale": "引导强度",
    "guidance_info": "提示词的牵引力；1 表示不额外牵引。",
    "eta": "Eta（η）",
    "eta_info": "每步加入的新噪声；0 时只由种子决定。",
    "sampler": "采样器",
    "sampler_info": "从一步走到下一步的规则。",
    "seed": "种子",
    "seed_info": "决定初始噪声；−1 表示每次换新。",
    "dice": "随机",
    "reuse": "沿用当前",
    "width": "宽",
    "height": "高",
    "batch": "张数",
    "start_picture": "从图片开始：图生图、局部重绘",
    "start_info": "载入图片即整幅重画（图生图）；在图上涂抹则只重画涂抹处（局部重绘）。清空画布后重新从噪声开始。",
    "use_shown": "取用当前图像",
    "strength": "重绘强度",
    "strength_info": "先给图片加多少噪声；1 几乎不保留原图。",
    "restore": "从 PNG 恢复设置",
    "restore_info": "这里生成的 PNG 带有全部设置；载入即可填好每一项。",
    "restore_file": "PNG 文件",
    "restored": "设置已恢复；点“生成”可得到同一幅图。",
    "empty": "图像将在这里成形。",
    "empty_hint": "输入提示词后按回车，或选一个示例。",
    "picture_alt": "生成的图像：{prompt}",
    "preview_alt": "第 {i}/{n} 步预览：{prompt}",
    "scaling": "放大方式",
    "smooth": "平滑",
    "nearest": "像素",
    "copy_settings": "复制设置",
    "copied": "已复制",
    "download": "下载 PNG",
    "history": "本次的图像",
    "history_empty": "完成的图像会列在这里。",
    "queued": "排队中：第 {position} 位",
    "queued_wait": "排队中：第 {position} 位，约 {wait}",
    "started": "开始，共 {n} 步……",
    "stepped": "第 {i}/{n} 步 · 还需 {left}",
    "decoding": "第 {n}/{n} 步 · 正在还原图像……",
    "done": "用时 {seconds}",
    "stopped": "已在第 {i}/{n} 步后停止。",
    "failed": "没有生成图像：{message}",
    "unexpected": "发生了不该发生的错误；详情见服务器日志。",
    "seconds": "{value} 秒",
    "minutes": "{minutes} 分 {seconds} 秒",
    "facts": "种子 {seed} · {width}×{height} · {steps} 步 · {seconds}",
    "lost": "连接中断，正在重试……",
    "found": "已重新连接。",
    "nothing_to_use": "还没有可取用的图像。",
    "from_picture": "正在重画画布上的图片；清空画布即从噪声开始。",
    "from_paint": "只重绘画布上涂抹的部分。",
    "gone": "这幅图的文件已被清理；用它的设置可以重新生成。",
    "no_background": "画布上有涂抹但没有图片：请先载入图片，或清空画布。",
}

WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "zh": _ZH}


def say(lang: str, key: str, **values: Any) -> str:
    """The words for `key` in a language of LANGUAGES, with {names} filled in."""
    return WORDS[lang][key].format(**values)


def duration(lang: str, seconds: float) -> str:
    """A span of time in the digits that matter: 0.6 s, 14 s, 3 min 05 s."""
    if seconds < 9.95:
        return say(lang, "seconds", value=f"{max(seconds, 0):.1f}")
    if seconds < 90:
        return say(lang, "seconds", value=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    return say(lang, "minutes", minutes=minutes, seconds=f"{rest:02d}")


C = TypeVar("C")


class Wording:
    """Makes components in one language and remembers which words they show, so that the page can change language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.components: list[Any] = []
        self._shown: list[Mapping[str, str]] = []

    def make(self, kind: Callable[..., C], words: Mapping[str, str], **options: Any) -> C:
        """kind(**options) with each property of `words` ({"label": key}) set, now and in `updates`."""
        component = kind(**{name: say(self.lang, key) for name, key in words.items()}, **options)
        self.components.append(component)
        self._shown.append(words)
        return component

    def updates(self, lang: str) -> list[dict[str, str]]:
        """Per component of `components` the properties it has in `lang`."""
        return [{name: say(lang, key) for name, key in words.items()} for words in self._shown]
