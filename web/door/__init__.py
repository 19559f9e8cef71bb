"""The rooms at the door: coming in, and how a person proves who they are."""
