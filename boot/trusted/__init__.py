"""What is believed: what the factory's root of trust signed, and who this unit is to a TSS."""
