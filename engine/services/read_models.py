"""The read models that services return, by name, for whoever writes them in another form."""

from engine.decisions.calendar import CalendarMonth as CalendarMonth
from engine.decisions.missed import MissedWeek as MissedWeek
from engine.decisions.portfolio import Totals as Totals
from engine.decisions.shadow import ShadowTrade as ShadowTrade
from engine.decisions.track_record import Month as Month
from engine.ledger.books_view import BooksSummary as BooksSummary
from engine.ledger.callbacks import CallbackRow as CallbackRow
from engine.ledger.deliveries import DeliveryRow as DeliveryRow
from engine.ledger.following import AgreementRow as AgreementRow
from engine.ledger.following import CopyRow as CopyRow
from engine.ledger.history import ClosedTrade as ClosedTrade
from engine.ledger.history import FundingPaid as FundingPaid
from engine.ledger.history import OrderRow as OrderRow
from engine.ledger.studio import Audience as Audience
from engine.ledger.studio import SignalOutcomes as SignalOutcomes
from engine.ledger.studio import StudioSignal as StudioSignal
from engine.ledger.studio import StudioStrategy as StudioStrategy
