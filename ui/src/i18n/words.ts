/**
 * Words of the screen that do not come from the engine. Dates, ages, doses and values are never made here: they
 * arrive as ready text.
 */
import type { DataAge } from '../wire/DataAge';
import type { EntryState } from '../wire/EntryState';
import { keyText, say } from './language';

/** The data-age vocabulary (screens.md A5), in words first. */
export const AGE_WORDS: Record<DataAge, string> = {
  live: say('LIVE', 'LIVE'),
  delayed: say('DELAYED', 'VERZÖGERT'),
  stale: say('STALE', 'VERALTET'),
  offline: say('OFFLINE', 'OFFLINE'),
  old: say('OFFLINE — OLD DATA', 'OFFLINE — ALTE DATEN'),
  partial: say('NOT FULLY LOADED', 'NICHT VOLLSTÄNDIG GELADEN'),
  unavailable: say('UNAVAILABLE', 'NICHT VERFÜGBAR'),
  'not-on-this-workstation': say('NOT ON THIS WORKSTATION', 'NICHT AN DIESEM ARBEITSPLATZ'),
};

/** What each age means to the reader, where the engine gives no sentence. */
export const AGE_MEANING: Record<DataAge, string> = {
  live: say('Changes arrive within seconds.', 'Änderungen erscheinen binnen Sekunden.'),
  delayed: say("Others' newest changes may not be shown yet.", 'Die neuesten Änderungen anderer fehlen hier möglicherweise noch.'),
  stale: say("Others' changes may be missing. Check before you act.", 'Änderungen anderer fehlen hier möglicherweise. Vor dem Handeln prüfen.'),
  offline: say("Others' changes are not shown.", 'Änderungen anderer werden nicht angezeigt.'),
  old: say("Others' changes are not shown. Check every value before you act.", 'Änderungen anderer werden nicht angezeigt. Vor dem Handeln jeden Wert prüfen.'),
  partial: say('Treat what is missing as unknown.', 'Fehlendes als unbekannt behandeln.'),
  unavailable: say('Treat everything as unknown.', 'Alles als unbekannt behandeln.'),
  'not-on-this-workstation': say('Treat everything as unknown.', 'Alles als unbekannt behandeln.'),
};

/** What becomes of an entry, where the engine gives no words (S16): only what is accepted counts. */
export const ENTRY_WORDS: Record<EntryState, string> = {
  queued: say('NOT SENT', 'NICHT GESENDET'),
  sent: say('SENT, not answered yet', 'GESENDET, noch nicht beantwortet'),
  accepted: say('ACCEPTED', 'ANGENOMMEN'),
  rejected: say('REJECTED', 'ABGELEHNT'),
};

export const WORDS = {
  product: 'Vitrine',
  training: say('TRAINING', 'SCHULUNG'),
  trainingWho: say('synthetic patients.', 'synthetische Patienten.'),
  trainingMeans: say('Nothing here is about a real person; nothing recorded here reaches the hospital’s record.', 'Nichts hier betrifft eine echte Person; nichts, was hier dokumentiert wird, gelangt in die Akte des Krankenhauses.'),
  trainingShort: say('Nothing reaches the hospital’s record.', 'Nichts gelangt in die Akte des Krankenhauses.'),
  treatAsUnknown: say('treat as unknown', 'als unbekannt behandeln'),
  engineSilent: say('This workstation has stopped answering. What is shown may be old: check before you act.', 'Dieser Arbeitsplatz antwortet nicht mehr. Das Angezeigte kann veraltet sein: vor dem Handeln prüfen.'),
  notAnswered: say('The workstation did not answer. Try again.', 'Der Arbeitsplatz hat nicht geantwortet. Erneut versuchen.'),
  wrongPatient: say('The record that arrived belongs to another patient. Nothing of it is shown. Close it and search again.', 'Die eingetroffene Akte gehört einem anderen Patienten. Nichts davon wird angezeigt. Schließen und neu suchen.'),
  broken: (what: string) => say(`Could not show ${what} — treat as unknown`, `${capital(what)}: Anzeige nicht möglich — als unbekannt behandeln`),
  partialEmpty: (what: string) => say(`${capital(what)} not fully loaded — treat as unknown`, `${capital(what)}: nicht vollständig geladen — als unbekannt behandeln`),
  partialRows: say('Not fully loaded: there may be more', 'Nicht vollständig geladen: Es kann weitere geben'),
  notHere: (what: string) => say(`${capital(what)} not on this workstation — treat as unknown`, `${capital(what)}: nicht an diesem Arbeitsplatz — als unbekannt behandeln`),
  noneRecorded: (what: string) => say(`No ${what} on record`, `Keine Angaben: ${what}`),
  loading: (what: string) => say(`Loading ${what}…`, `Wird geladen: ${what} …`),
  stillLoading: say('Still loading — treat as unknown', 'Wird noch geladen — als unbekannt behandeln'),
  news2None: say('no score', 'kein Score'),
  news2Aged: say('An input is over 12 h old now. F5 reads again.', 'Ein Eingangswert ist jetzt über 12 Std alt. F5 liest neu ein.'),
  noteContinues: say('continues in Notes', 'weiter unter Notizen'),
  noteElsewhere: say('The text of this note is not on this workstation.', 'Der Text dieser Notiz ist nicht an diesem Arbeitsplatz.'),
  noteChanged: say('The note that was open here has changed since, or is gone. Choose a note again.', 'Die hier geöffnete Notiz wurde inzwischen geändert oder ist nicht mehr da. Erneut eine Notiz wählen.'),
  studiesNotLoaded: say('The list of images was not read yet: open Images (Ctrl+8). Until then: treat as unknown', `Die Liste der Bilder wurde noch nicht gelesen: Bilder öffnen (${keyText('Ctrl+8')}). Bis dahin: als unbekannt behandeln`),
  wrongImages: say('The images that arrived are not those that were asked for. Nothing of them is shown. Try again.', 'Die eingetroffenen Bilder sind nicht die angeforderten. Nichts davon wird angezeigt. Erneut versuchen.'),
  lastSeries: say('This is the last series of the study.', 'Dies ist die letzte Serie der Untersuchung.'),
  firstSeries: say('This is the first series of the study.', 'Dies ist die erste Serie der Untersuchung.'),
  noPrior: (modality: string) => say(`No earlier study with ${modality} images in this record.`, `Keine frühere Untersuchung mit ${modality}-Bildern in dieser Akte.`),
  noKeyImages: say('No image of this series is marked as a key image.', 'Kein Bild dieser Serie ist als Schlüsselbild markiert.'),
  nothingToMeasure: say('There is no picture to measure on.', 'Es ist kein Bild da, in dem gemessen werden kann.'),
  notMeasurable: (quality: string) => say(`Measuring needs exact pixels. This is: ${quality}.`, `Messen geht nur mit exakten Pixeln. Dies ist: ${quality}.`),
  otherSeries: say('This measurement is on an image of another series.', 'Diese Messung liegt auf einem Bild einer anderen Serie.'),
  notPrimary: say('Not for primary diagnosis', 'Nicht zur Primärbefundung'),
  growing: say('Still arriving: there may be more images', 'Wird noch übertragen: Es können weitere Bilder kommen'),
  showAnyway: say('Show anyway', 'Trotzdem anzeigen'),
  keysHere: say('Key images are marked on this screen only; they are not stored in the record.', 'Schlüsselbilder sind nur auf diesem Bildschirm markiert; sie werden nicht in der Akte gespeichert.'),
  measuresHere: say('Measurements stay on this screen until the chart is closed; they are not stored in the record.', 'Messungen bleiben auf diesem Bildschirm, bis die Akte geschlossen wird; sie werden nicht in der Akte gespeichert.'),
  cannotDraw: say('This workstation cannot draw images.', 'Dieser Arbeitsplatz kann keine Bilder darstellen.'),
  displayWrong: say('How this image is to be shown could not be read: stored values are shown as they are.', 'Wie dieses Bild darzustellen ist, war nicht lesbar: Die gespeicherten Werte werden unverändert gezeigt.'),
  noPalette: say('Cannot be shown: its table of colours is not here.', 'kann nicht angezeigt werden: Die Farbtabelle fehlt hier'),
  burnedIn: say('Names may be drawn into the picture itself.', 'Im Bild selbst können Namen stehen.'),
  offlineSignIn: say('Sign-in with PIN works without the server; changing a password does not.', 'Die Anmeldung mit PIN geht auch ohne Server; ein Kennwort ändern nicht.'),
  ways: {
    sentence: (name: string) => say(`Sign in with ${name}`, `Mit ${name} anmelden`),
    notYou: say('Not you? By name', 'Nicht Sie? Mit Namen'),
  },
  wholeMinutes: say('Type whole minutes, as digits.', 'Ganze Minuten als Ziffern eingeben.'),
  chooseAnswer: say('Choose what is done about it.', 'Wählen, was unternommen wird.'),
  chooseAllergy: say('Choose which allergy it is about.', 'Wählen, um welche Allergie es geht.'),
  chooseStanding: say('Choose how it stands.', 'Wählen, wie sie einzustufen ist.'),
  chooseTime: say('Choose when it was measured.', 'Wählen, wann gemessen wurde.'),
  chooseWrong: say('Choose what is wrong: one value or several.', 'Wählen, was falsch ist: einen Wert oder mehrere.'),
  chooseWhy: say('Choose why it is wrong.', 'Wählen, warum es falsch ist.'),
  valueChanged: say('What you chose says something else since you opened this, or is marked already. Go back and look at the chart again.', 'Das Gewählte sagt etwas anderes, seit Sie dies geöffnet haben, oder ist schon markiert. Zurückgehen und die Akte erneut ansehen.'),
  chooseSide: say('Choose which of the two holds, or neither.', 'Wählen, welche der beiden Angaben gilt, oder keine.'),
  sideNotOffered: (side: string, standing: string) => say(`“${side}” is not offered: “${standing}” is none of the ways in which an allergy can be recorded to stand. Write what is right.`, `„${side}“ wird nicht angeboten: „${standing}“ ist keine Einstufung, mit der eine Allergie dokumentiert werden kann. Schreiben Sie, was richtig ist.`),
  reasonNeeded: say('Say why: the next reader has to judge it.', 'Begründung angeben: Wer es als Nächstes liest, muss es beurteilen können.'),
  allergyChanged: say('This allergy has been changed or decided since you opened this. Go back and look at the chart again; what you typed is still here to be read.', 'Diese Allergie wurde geändert oder entschieden, seit Sie dies geöffnet haben. Zurückgehen und die Akte erneut ansehen; Ihre Eingaben sind hier noch lesbar.'),
  wordsNeeded: say('Say it in words: this answer is not complete without them.', 'In Worten angeben: Ohne sie ist diese Antwort nicht vollständig.'),
  resultChanged: say('This result has changed since you opened it. Close this, read the new value, and begin again.', 'Dieser Befund hat sich geändert, seit Sie ihn geöffnet haben. Dies schließen, den neuen Wert lesen und neu beginnen.'),
  chooseResult: say('Choose a result first: J, K or the arrows move.', 'Zuerst einen Befund wählen: mit J, K oder den Pfeiltasten.'),
  alreadyAcknowledged: say('This one is acknowledged already. What was done stands with it.', 'Dieser Befund ist bereits quittiert. Was unternommen wurde, steht dabei.'),
  nobodyTook: say('Nobody has taken it up.', 'Niemand hat sich bisher darum gekümmert.'),
  sinceUnknown: say('not known since when', 'seit wann, ist unbekannt'),
  wrongPreview: say('What came back is about another patient. Nothing of it is shown. Close this and open the chart again.', 'Die Antwort betrifft einen anderen Patienten. Nichts davon wird angezeigt. Dies schließen und die Akte neu öffnen.'),
  wrongEntry: say('What was recorded is said to be of another patient. Do not sign again: look at “Entries not sent”, and call clinical IT.', 'Laut Antwort betrifft der Eintrag einen anderen Patienten. Nicht erneut unterschreiben: „Nicht gesendete Einträge“ ansehen und die Klinik-IT anrufen.'),
  signUnknown: say('The workstation did not answer. Look whether it already stands among what was recorded here before you sign again.', 'Der Arbeitsplatz hat nicht geantwortet. Vor erneutem Unterschreiben nachsehen, ob der Eintrag hier schon dokumentiert ist.'),
  willQueue: say('The server is not reached: this stays on this workstation until it is. Others do not see it: tell them.', 'Der Server ist nicht erreichbar: Bis er es wieder ist, bleibt dies an diesem Arbeitsplatz. Andere sehen es nicht: Sagen Sie es ihnen.'),
  draftUnreadable: (why: string) => say(`A draft from earlier, if there is one, could not be read: ${why} It is read again before anything you type is kept.`, `Ein früherer Entwurf, falls vorhanden, konnte nicht gelesen werden: ${why} Er wird erneut gelesen, bevor Ihre Eingaben gespeichert werden.`),
  draftHeld: say('A draft from earlier is kept and could not be shown. What you type now is not kept until you open the note again.', 'Ein früherer Entwurf ist gespeichert und konnte nicht angezeigt werden. Was Sie jetzt eingeben, wird nicht gespeichert, bis Sie die Notiz neu öffnen.'),
  draftNotKept: (why: string) => say(`The draft is not kept: ${why}`, `Der Entwurf wird nicht gespeichert: ${why}`),
  noAlarm: say('Not an alarm: the monitors at the beds alarm. Values come over the network and can be late or missing.', 'Kein Alarm: Alarm geben die Monitore an den Betten. Werte kommen über das Netz und können verspätet sein oder fehlen.'),
  wallLine: {
    connecting: say('The server is being connected: values come when it answers.', 'Die Verbindung zum Server wird aufgebaut: Werte kommen, sobald er antwortet.'),
    down: say('The server is not reached: nothing here is live. Look at the monitors at the beds.', 'Der Server ist nicht erreichbar: Nichts hier ist live. Auf die Monitore an den Betten sehen.'),
    refused: say('The server refuses live vital signs: nothing here is live. Look at the monitors at the beds.', 'Der Server verweigert Live-Vitalwerte: Nichts hier ist live. Auf die Monitore an den Betten sehen.'),
  },
  noTrends: say('Trends cannot be shown now.', 'Verläufe können jetzt nicht angezeigt werden.'),
  whoLiesUnknown: say('Who lies on this ward is not known to this workstation: there may be patients', 'Wer auf dieser Station liegt, ist diesem Arbeitsplatz nicht bekannt: Es können Patienten da sein'),
  notRecordedYet: say('What is typed is not recorded yet.', 'Die Eingabe ist noch nicht dokumentiert.'),
  scan: {
    unread: say('Code not read', 'Code nicht gelesen'),
    lost: say('Part of the code was lost on its way from the scanner. Scan again.', 'Ein Teil des Codes ging auf dem Weg vom Scanner verloren. Erneut scannen.'),
    notAPatient: say('Not a patient', 'Kein Patientencode'),
    notHere: say('No patient found by this band', 'Kein Patient zu diesem Armband gefunden'),
    notNow: say('Not opened', 'Nicht geöffnet'),
    failed: say('The band could not be looked up', 'Das Armband konnte nicht nachgeschlagen werden'),
    identify: say('Say who you are first; then scan the band.', 'Zuerst angeben, wer Sie sind; dann das Armband scannen.'),
    closeFirst: say('Close or finish what is open here first; then scan the band.', 'Zuerst schließen oder abschließen, was hier offen ist; dann das Armband scannen.'),
    meanwhile: say('Something else came to the screen meanwhile. Scan again.', 'Inzwischen ist etwas anderes auf dem Bildschirm. Erneut scannen.'),
    same: say('The same patient', 'Derselbe Patient'),
    sameText: (what: string) => say(`This band is that of the person ${what}.`, `Dieses Armband gehört zur Person ${what}.`),
    maybe: say('Probably the same patient: compare', 'Wahrscheinlich derselbe Patient: vergleichen'),
    other: say('NOT THE SAME PATIENT', 'NICHT DERSELBE PATIENT'),
    otherText: (what: string) => say(`This band is not that of the person ${what}. Nothing was changed: check who is in front of you.`, `Dieses Armband gehört nicht zur Person ${what}. Nichts wurde geändert: Prüfen Sie, wer vor Ihnen ist.`),
    ofCard: say('on this emergency card', 'auf dieser Notfallkarte'),
    ofDialog: say('this emergency access is for', 'dieses Notfallzugriffs'),
    ofChart: say('of this chart', 'dieser Akte'),
    ofEntry: say('you are recording for', 'dieses Eintrags'),
    found: (n: number) => (n === 1 ? say('1 patient by the scanned code.', '1 Patient zum gescannten Code.') : say(`${String(n)} patients by the scanned code.`, `${String(n)} Patienten zum gescannten Code.`)),
  },
  clockUnverified: say('clock not verified', 'Uhr nicht geprüft'),
} as const;

/** First letter in upper case. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
