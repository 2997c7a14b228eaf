"""The model providers that need no entry in fleet.yaml, with the endpoints their own documentation gives."""

from __future__ import annotations

from collections.abc import Mapping

from fleet_tasks.record import record

KINDS = ("openai", "anthropic", "gemini", "copilot")
LOGIN = "login"
"""The provider that is none: the agent uses whatever it is logged in to on the device."""


@record
class Provider:
    """Whom a model is asked from: the protocol spoken, the base of its URLs, and the *name* of its secret."""

    name: str
    kind: str
    api_base: str
    key: str | None = None


_PROVIDERS = (
    Provider(LOGIN, "", ""),
    Provider("anthropic", "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    Provider("openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    Provider("gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    Provider("google", "gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    Provider("copilot", "copilot", "https://api.githubcopilot.com", "GITHUB_TOKEN"),
    Provider("github_copilot", "copilot", "https://api.githubcopilot.com", "GITHUB_TOKEN"),
    Provider("openrouter", "openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    Provider("deepseek", "openai", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    Provider("groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    Provider("mistral", "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    Provider("nvidia", "openai", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    Provider("cerebras", "openai", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    Provider("moonshot", "openai", "https://api.moonshot.cn/v1", "MOONSHOT_API_KEY"),
    Provider("zhipu", "openai", "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY"),
    Provider("zai", "openai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    Provider("minimax", "openai", "https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    Provider("qwen", "openai", "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    Provider("venice", "openai", "https://api.venice.ai/api/v1", "VENICE_API_KEY"),
    Provider("siliconflow", "openai", "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY"),
    Provider("vercel", "openai", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY"),
    Provider("ollama", "openai", "http://localhost:11434/v1"),
    Provider("vllm", "openai", "http://localhost:8000/v1"),
    Provider("lmstudio", "openai", "http://localhost:1234/v1"),
    Provider("llama.cpp", "openai", "http://localhost:8080/v1"),
)

WELL_KNOWN: Mapping[str, Provider] = {provider.name: provider for provider in _PROVIDERS}
