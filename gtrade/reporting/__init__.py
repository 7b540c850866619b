"""Tables and reports of finished or unfinished runs, made on the host alone."""

from gtrade.reporting.export import export as export
from gtrade.reporting.html import write_report as write_report
from gtrade.reporting.tables import Summary as Summary
from gtrade.reporting.tables import print_summary as print_summary
from gtrade.reporting.tables import summarise as summarise
