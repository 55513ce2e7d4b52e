"""The published speech prompts and captiond's question about a picture, token by token as captiond
sends them, and the special tokens that they are made of."""

USER_TURN = "<bos><|turn>user\n"
MODEL_TURN = "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>"
TURN_END = "<turn|>"
NEXT_USER_TURN = "<turn|>\n<|turn>user\n"
AUDIO_BEGIN, AUDIO_FRAME, AUDIO_END = "<|audio>", "<|audio|>", "<audio|>"
IMAGE_BEGIN, IMAGE_PATCH, IMAGE_END = "<|image>", "<|image|>", "<image|>"
VIDEO_PATCH = "<|video|>"

# Lines of the two speech prompts; {0} and {1} are language names.
RULES = ("Follow these specific instructions for formatting the answer:",
         "*   Only output the transcription, with no newlines.",
         "*   When transcribing numbers, write the digits, i.e. write 1.7 and not one point seven, "
         "and write 3 instead of three.")
TRANSCRIBE = ("Transcribe the following speech segment in {0} into {0} text.\n\n" + "\n".join(RULES))
TRANSLATE = ("Transcribe the following speech segment in {0}, then translate it into {1}.\n"
             "When formatting the answer, first output the transcription in {0}, then one newline, "
             "then output the string '{1}: ', then the translation in {1}.")
SCENE = "Describe what can be seen in this picture in one short sentence."
VIDEO = "Describe what happens in this video in one short sentence."
LANGUAGES = ("English", "German", "Spanish")

# Special tokens in the order of their ids. The names are those of Gemma 4; the ids are our own.
CONTROL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]",
                  "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>",
                  "<|tool_response>", "<tool_response|>", '<|"|>', "<|think|>",
                  "<|channel>", "<channel|>", "<|turn>", "<turn|>",
                  "<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>",
                  "<|video|>")
NEWLINE_TOKENS = ("\n", "\n\n", "\n\n\n")


def transcription_prompt(language="English"):
    """The text before the audio."""
    return USER_TURN + TRANSCRIBE.format(language)


def transcription_tokens(tokenizer, language="English"):
    """Token ids (before the audio frames, after them); `tokenizer` is a tokenizers.Tokenizer."""
    before = tokenizer.encode(transcription_prompt(language) + AUDIO_BEGIN, add_special_tokens=False)
    after = tokenizer.encode(AUDIO_END + MODEL_TURN, add_special_tokens=False)
    return before.ids, after.ids


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def translation_tokens(tokenizer, target, language="English"):
    """Token ids (before the audio frames, after them) of the translation prompt."""
    before = encode(tokenizer, USER_TURN + TRANSLATE.format(language, target) + AUDIO_BEGIN)
    return before, encode(tokenizer, AUDIO_END + MODEL_TURN)


def follow_up_parts(tokenizer, target, language="English"):
    """Token ids (before the answer that is repeated, after it) of captiond's follow-up turn."""
    asked = encode(tokenizer, NEXT_USER_TURN + TRANSLATE.format(language, target) + MODEL_TURN)
    return asked, encode(tokenizer, f"\n{target}:")


def follow_up_tokens(tokenizer, target, transcript, language="English"):
    """What captiond appends to a context with the answer `transcript` (token ids, without the end
    of the turn) to have it translated; the answer is the translation, which begins with a space."""
    asked, begun = follow_up_parts(tokenizer, target, language)
    return asked + transcript + begun


def scene_tokens(tokenizer):
    """Token ids (before the patches, after them) of captiond's question about a picture."""
    return (encode(tokenizer, USER_TURN + IMAGE_BEGIN),
            encode(tokenizer, IMAGE_END + SCENE + MODEL_TURN))


def video_tokens(tokenizer, times):
    """Token ids before, between and after the frames at these whole seconds (one list more than times) of
    captiond's question about a video."""
    stamps = [f"{time // 60:02}:{time % 60:02} {IMAGE_BEGIN}" for time in times]
    return [encode(tokenizer, USER_TURN + stamps[0]),
            *(encode(tokenizer, f"{IMAGE_END} {stamp}") for stamp in stamps[1:]),
            encode(tokenizer, IMAGE_END + VIDEO + MODEL_TURN)]


def prompt_phrases():
    """The fixed phrases of the prompts, cut where a language name or a line end comes between."""
    phrases = []
    for text in (TRANSCRIBE, TRANSLATE):
        for line in text.split("\n"):
            phrases += [piece for piece in line.replace("{1}", "{0}").split("{0}") if piece]
    return phrases
