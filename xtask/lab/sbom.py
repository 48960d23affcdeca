"""Validates bills of materials strictly with CycloneDX's own schema: python sbom.py FILE..."""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
errors = {file: validator.validate_str(Path(file).read_text()) for file in sys.argv[1:]}
for file, error in errors.items():
    print(f"{file}: {error or 'valid'}")
sys.exit(any(errors.values()))
