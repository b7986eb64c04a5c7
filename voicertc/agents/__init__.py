"""What answers: the agent port, the chat agent for language models, and the built-in offline agent."""
