"""Models that are pretrained already, in exported form: a folder, a repository on the Hub, or one that comes along."""
