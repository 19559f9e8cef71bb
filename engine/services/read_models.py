"""The read models that services return, by name, for whoever writes them in another form."""

from engine.decisions.missed import MissedWeek as MissedWeek
from engine.decisions.portfolio import Totals as Totals
from engine.ledger.following import AgreementRow as AgreementRow
from engine.ledger.following import CopyRow as CopyRow
from engine.ledger.following import OrderRow as OrderRow
from engine.ledger.results import TradeRow as TradeRow
