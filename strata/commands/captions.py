"""What `strata export` and `strata import` share: the forms."""

from typing import Annotated

from cyclopts import Parameter

from strata.native import FORMS

FormName = Annotated[str, Parameter(name="FORM", help=", ".join(FORMS))]
